// The connections of one channel or server, for snapshots. Tells the listener of changes in order,
// never inside a call that the application makes (core/callback_queue.h).
//
// Threads  any: List, Add. The others: the connection's loop, where the listener runs
// Owns     a share of the gauges, which may outlive their sessions
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

namespace weft::internal {

class ConnectionList {
 public:
  explicit ConnectionList(ConnectionListener listener)
      : listener_(listener == nullptr
                      ? nullptr
                      : std::make_shared<const ConnectionListener>(std::move(listener))) {}

  // Adds a connection and returns its number. `gauge`: null until there is a session (SetGauge).
  uint64_t Add(std::string peer, MonoTime began, std::shared_ptr<ConnectionGauge> gauge)
      WEFT_EXCLUDES(mu_);
  void SetGauge(uint64_t id, std::shared_ptr<ConnectionGauge> gauge) WEFT_EXCLUDES(mu_);
  // Sets the state and tells the listener. kDown removes the connection.
  void Set(uint64_t id, ConnectionState state, CloseReason reason = CloseReason::kLocal,
           const absl::Status& why = absl::OkStatus()) WEFT_EXCLUDES(mu_);
  // Tells the listener of an attempt that is no connection yet.
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

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_CONNECTION_LIST_H_
