// The connections of one channel or server, for snapshots; and their listener, which is told of
// them in order, and never inside a call that the application makes (core/callback_queue.h).
//
// Threads  any: List, Add. The others: the connection's loop, which is where the listener runs
// Owns     the gauges, which outlive their sessions harmlessly
#ifndef WEFT_RPC_PROTOCOL_CONNECTION_LIST_H_
#define WEFT_RPC_PROTOCOL_CONNECTION_LIST_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/rpc/protocol/connection_info.h"

namespace weft {

class ConnectionList {
 public:
  explicit ConnectionList(ConnectionListener listener)
      : listener_(listener == nullptr
                      ? nullptr
                      : std::make_shared<const ConnectionListener>(std::move(listener))) {}

  // The number of the new connection. `gauge`: null until it has a session (SetGauge).
  uint64_t Add(std::string peer, MonoTime began, std::shared_ptr<ConnectionGauge> gauge)
      WEFT_EXCLUDES(mu_);
  void SetGauge(uint64_t id, std::shared_ptr<ConnectionGauge> gauge) WEFT_EXCLUDES(mu_);
  // It is in `state` from now on; kDown takes it out. Tells the listener.
  void Set(uint64_t id, ConnectionState state, CloseReason reason = CloseReason::kLocal,
           const absl::Status& why = absl::OkStatus()) WEFT_EXCLUDES(mu_);
  // Of an attempt that is no connection yet.
  void Tell(const ConnectionEvent& event) const;
  std::vector<ConnectionInfo> List(MonoTime now) const WEFT_EXCLUDES(mu_);

 private:
  struct Entry {
    std::string peer;
    MonoTime began;
    std::shared_ptr<ConnectionGauge> gauge;
    ConnectionState state = ConnectionState::kConnecting;
  };

  const std::shared_ptr<const ConnectionListener> listener_;  // null: nobody listens
  mutable Mutex mu_;
  uint64_t last_ WEFT_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, Entry> entries_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_CONNECTION_LIST_H_
