// The accepted connections of one loop whose transport's handshake is under way. Such a connection
// has nothing but its transport and a watch on it.
//
// A member of IncomingConnections, if the listener has a transport factory.
//
// Threads  loop-only
// Owns     their transports, until a handshake is done
// Errors   `failed` of the constructor: why one came to nothing
// Ends     Drop ends them all, and tells of each. The destructor ends them without telling
#ifndef WEFT_RPC_SERVER_HALF_OPEN_H_
#define WEFT_RPC_SERVER_HALF_OPEN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/read_ahead.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport.h"
#include "weft/core/transport_factory.h"
#include "weft/core/transport_handshake.h"
#include "weft/rpc/protocol/close_reason.h"

namespace weft::internal {

class HalfOpen final {
 public:
  // `id`, `peer` and `began`: as they were handed to Add. Both are called in a turn of the loop,
  // never inside Add.
  using Done = std::function<void(uint64_t id, std::unique_ptr<Transport> transport,
                                  std::string peer, MonoTime began)>;
  using Failed = std::function<void(uint64_t id, CloseReason reason, const absl::Status& why)>;

  // `factory`: not null. `limit`: how long a handshake may take, from `began` on.
  HalfOpen(EventLoop& loop, std::shared_ptr<TransportFactory> factory,
           std::vector<std::string> alpn, Nanos limit, Done done, Failed failed);
  ~HalfOpen();
  HalfOpen(const HalfOpen&) = delete;
  HalfOpen& operator=(const HalfOpen&) = delete;

  // False: there is no memory for so many.
  bool MakeRoom(size_t needed) WEFT_LOOP_ONLY;
  // `first`: bytes that have been read from `plain` already.
  void Add(uint64_t id, std::unique_ptr<Transport> plain, std::string peer, MonoTime began,
           ReadAhead first = {}) WEFT_LOOP_ONLY;
  void Drop(CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  // False: it is not here.
  bool DropOne(uint64_t id, CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  size_t size() const WEFT_LOOP_ONLY { return connections_.size(); }

 private:
  struct Connection {
    explicit Connection(EventLoop& loop) : handshake(loop) {}
    std::string peer;
    MonoTime began{};
    TransportHandshake handshake;
  };

  void OnEnd(uint64_t id, absl::StatusOr<std::unique_ptr<Transport>> transport) WEFT_LOOP_ONLY;

  EventLoop& loop_;
  const std::shared_ptr<TransportFactory> factory_;
  const std::vector<std::string> alpn_;
  const Nanos limit_;
  const Done done_;
  const Failed failed_;
  // A map of the standard library: if it cannot grow, it stays as it was.
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_HALF_OPEN_H_
