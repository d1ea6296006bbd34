#include "weft/rpc/server/half_open.h"

#include <utility>

#include "weft/core/check.h"
#include "weft/core/table_room.h"

namespace weft::internal {

HalfOpen::HalfOpen(EventLoop& loop, std::shared_ptr<TransportFactory> factory,
                   std::vector<std::string> alpn, Nanos limit, Done done, Failed failed)
    : loop_(loop),
      factory_(std::move(factory)),
      alpn_(std::move(alpn)),
      limit_(limit),
      done_(std::move(done)),
      failed_(std::move(failed)) {}

HalfOpen::~HalfOpen() { loop_.AssertInLoop(); }

bool HalfOpen::MakeRoom(size_t needed) { return TryMakeRoom(connections_, needed); }

void HalfOpen::Add(uint64_t id, std::unique_ptr<Transport> plain, std::string peer, MonoTime began,
                   ReadAhead first) {
  auto added = std::make_unique<Connection>(loop_);
  Connection& connection = *added;
  const bool is_new = connections_.emplace(id, std::move(added)).second;
  WEFT_DCHECK(is_new);
  (void)is_new;
  connection.peer = std::move(peer);
  connection.began = began;
  const MonoTime deadline = SaturatingAdd(connection.began, limit_);
  std::unique_ptr<Transport> transport =
      factory_->Wrap(std::move(plain), std::move(first),
                     {.role = HandshakeRole::kListener, .alpn = alpn_, .deadline = deadline});
  connection.handshake.Start(std::move(transport), HandshakeRole::kListener, connection.peer,
                             deadline,
                             [this, id](absl::StatusOr<std::unique_ptr<Transport>> ended) {
                               loop_.AssertInLoop();
                               OnEnd(id, std::move(ended));
                             });
}

void HalfOpen::OnEnd(uint64_t id, absl::StatusOr<std::unique_ptr<Transport>> transport) {
  const auto it = connections_.find(id);
  WEFT_DCHECK(it != connections_.end());
  // Keeps the handshake, which is calling this, alive until the end; the entry is gone before
  // anybody is told.
  const std::unique_ptr<Connection> ended = std::move(it->second);
  connections_.erase(it);
  if (!transport.ok()) {
    failed_(id,
            ended->handshake.timed_out() ? CloseReason::kHandshakeTimeout
                                         : CloseReason::kHandshakeFailed,
            transport.status());
    return;
  }
  done_(id, *std::move(transport), std::move(ended->peer), ended->began);
}

void HalfOpen::Drop(CloseReason reason, const absl::Status& why) {
  TakeEach(connections_, [&](auto dropped) {
    // The connection is destroyed before its end is told: the callback finds everything closed.
    const uint64_t id = dropped.key();
    dropped = {};
    failed_(id, reason, why);
  });
}

bool HalfOpen::DropOne(uint64_t id, CloseReason reason, const absl::Status& why) {
  if (connections_.erase(id) == 0) return false;
  failed_(id, reason, why);
  return true;
}

}  // namespace weft::internal
