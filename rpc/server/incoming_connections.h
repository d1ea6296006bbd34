// The accepted connections of one loop whose protocol is not known yet: their transport shakes
// hands, or their first bytes have not come.
//
//   Add ─┬─► HalfOpen, with a transport factory ─┬─► known, by what its transport has agreed on
//        │        ▲ it shakes hands              └─► Sniffer ──► known, by its first bytes
//        └─► Sniffer ──► known, by its first bytes
//
// Where the transport is optional a connection's first bytes say whether it shakes hands. One limit
// counts from Add on, whichever way a connection takes.
//
// LoopListeners makes one for each listener, with the first connection that comes from it.
//
// Threads  loop-only
// Owns     them
// Errors   `failed` of the constructor: why one came to nothing
// Ends     Drop ends them all, and tells of each
#ifndef WEFT_RPC_SERVER_INCOMING_CONNECTIONS_H_
#define WEFT_RPC_SERVER_INCOMING_CONNECTIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "weft/core/loop_group.h"
#include "weft/core/transport.h"
#include "weft/core/transport_factory.h"
#include "weft/rpc/protocol/sniffer.h"
#include "weft/rpc/server/half_open.h"

namespace weft::internal {

// The kinds of connection that are accepted. The protocols outlive every holder of these options.
struct IncomingOptions {
  std::span<const Protocol> protocols = {};
  // Wraps the connections; null: bytes travel as they are.
  std::shared_ptr<TransportFactory> transport = nullptr;
  // Only connections that begin the transport's handshake are wrapped. The factory has a matcher.
  bool transport_optional = false;
  // The time that a connection has from Add on.
  Nanos limit{};
};

class IncomingConnections final : private SnifferHost {
 public:
  // `id`: as it was handed to Add. Both are called on the loop. Failed may run inside Add, where
  // the transport cannot be watched; Known never does.
  using Known =
      std::function<void(uint64_t id, const Protocol&, SessionSeed seed, SessionStart start)>;
  using Failed = std::function<void(uint64_t id, CloseReason reason, const absl::Status& why)>;

  IncomingConnections(IoThread& io, const IncomingOptions& options, Known known, Failed failed);
  ~IncomingConnections();

  // False: there is no memory for one more.
  bool MakeRoom() WEFT_LOOP_ONLY;
  void Add(uint64_t id, std::unique_ptr<Transport> transport, std::string peer) WEFT_LOOP_ONLY;
  void Drop(CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  // False: it is not here. Takes time in the number of connections.
  bool DropOne(uint64_t id, CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  size_t size() const WEFT_LOOP_ONLY {
    return sniffers_.size() + (half_open_ != nullptr ? half_open_->size() : 0);
  }

 private:
  struct Entry {
    std::unique_ptr<Sniffer> sniffer;
    uint64_t id;
  };

  void Sniff(uint64_t id, std::unique_ptr<Transport> transport, std::string peer, MonoTime began,
             Matcher wrapped) WEFT_LOOP_ONLY;
  // The connection's transport has shaken hands.
  void OnShaken(uint64_t id, std::unique_ptr<Transport> transport, std::string peer,
                MonoTime began) WEFT_LOOP_ONLY;

  // SnifferHost
  void OnKnown(Sniffer& sniffer, const Protocol& protocol, SessionSeed seed,
               SessionStart start) WEFT_LOOP_ONLY override;
  void OnTransport(Sniffer& sniffer, SessionSeed seed, ReadAhead first) WEFT_LOOP_ONLY override;
  void OnFailed(Sniffer& sniffer, CloseReason reason,
                const absl::Status& why) WEFT_LOOP_ONLY override;

  IoThread& io_;
  EventLoop& loop_;
  const std::span<const Protocol> protocols_;
  const Nanos limit_;
  const Known known_;
  const Failed failed_;
  std::unique_ptr<HalfOpen> half_open_ WEFT_LOOP_OWNED;  // null: without a factory
  const Matcher optional_;  // tells its handshake; null: all shake hands
  std::unordered_map<const Sniffer*, Entry> sniffers_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_INCOMING_CONNECTIONS_H_
