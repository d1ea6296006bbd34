// An event_base set up for speed: one thread uses it, and changes of interest are gathered.
//
// Threads  one thread at a time
// Owns     the event_base
#pragma once

#include <event2/event.h>

#include "bench/peers/common/fail.h"

namespace weft::bench {

class RawLoop {
 public:
  RawLoop() {
    event_config* config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    base_ = event_base_new_with_config(config);
    event_config_free(config);
    if (base_ == nullptr) Fail("no event base");
  }
  ~RawLoop() { event_base_free(base_); }

  RawLoop(const RawLoop&) = delete;
  RawLoop& operator=(const RawLoop&) = delete;

  event_base* base() { return base_; }

  // Until Stop, or until nothing is left to wait for.
  void Run() { event_base_dispatch(base_); }
  void Stop() { event_base_loopbreak(base_); }

 private:
  event_base* base_ = nullptr;
};

}  // namespace weft::bench
