// Readiness of one end of a byte stream, told to one listener on the loop: the end may be read, or
// written, without waiting. Level-triggered: told again as long as it lasts and is watched.
//
// Only a Transport knows how its bytes travel, and so when they can; hence it makes its own watch:
// a socket's is two libevent events on its descriptor (FdWatch), as before; one in memory posts a
// task to the loop when the other end has changed something. Descriptors in the place of memory (an
// eventfd each way) would cost a system call for each change and two descriptors a connection, and
// could not say "at 12:00:01", which bytes that are delayed need. A connection calls a watch when
// it starts, ends, pauses or is blocked, never for each read or write.
//
// Threads  loop-only
// Ends     after Stop, or its destruction, no callback comes; both are legal inside one
#ifndef WEFT_CORE_WATCH_H_
#define WEFT_CORE_WATCH_H_

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

// Receives a watch's events. Called on the loop.
class WatchEvents {
 public:
  virtual void OnReadable() = 0;
  virtual void OnWritable() = 0;
  // The kernel refuses to watch a descriptor (no memory, or fs.epoll.max_user_watches is reached):
  // what was to be watched is not, and can be asked for again. In a turn of its own.
  virtual void OnWatchFailed(const absl::Status& why) { (void)why; }

 protected:
  ~WatchEvents() = default;
};

class Watch {
 public:
  virtual ~Watch() = default;
  virtual void WatchRead(bool on) WEFT_LOOP_ONLY = 0;
  virtual void WatchWrite(bool on) WEFT_LOOP_ONLY = 0;
  virtual void Stop() WEFT_LOOP_ONLY = 0;
  // Tells another listener from now on; what is watched for stays as it is.
  virtual void SetEvents(WatchEvents* events) WEFT_LOOP_ONLY = 0;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_WATCH_H_
