#include "weft/rpc/server/loop_listeners.h"

#include <algorithm>
#include <utility>

namespace weft::internal {

LoopListeners::LoopListeners(IoThread& io, Nanos handshake_timeout, InboundSink& sink, Known known,
                             IncomingConnections::Failed failed)
    : io_(io),
      handshake_timeout_(handshake_timeout),
      sink_(sink),
      known_(std::move(known)),
      failed_(std::move(failed)) {}

LoopListeners::Part& LoopListeners::PartOf(const Listener& listener) {
  const auto known = std::find_if(parts_.begin(), parts_.end(),
                                  [&](const Part& part) { return part.listener == &listener; });
  if (known != parts_.end()) return *known;
  Part part{.listener = &listener, .incoming = nullptr, .limited = nullptr};
  if (!listener.services.empty()) {
    part.limited = std::make_unique<LimitedSink>(sink_, listener.services);
  }
  // The sink lies behind a pointer: it stays where it is when parts_ grows.
  InboundSink& sink = part.limited != nullptr ? *part.limited : sink_;
  part.incoming = std::make_unique<IncomingConnections>(
      io_,
      IncomingOptions{.protocols = listener.protocols,
                      .transport = listener.transport,
                      .transport_optional = listener.transport_optional,
                      .limit = handshake_timeout_},
      [this, &listener, &sink](uint64_t id, const Protocol& protocol, SessionSeed seed,
                               SessionStart start) {
        known_(listener, sink, id, protocol, std::move(seed), std::move(start));
      },
      failed_);
  return parts_.emplace_back(std::move(part));
}

bool LoopListeners::MakeRoom(const Listener& listener) {
  return PartOf(listener).incoming->MakeRoom();
}

void LoopListeners::Add(const Listener& listener, uint64_t id, std::unique_ptr<Transport> transport,
                        std::string peer) {
  PartOf(listener).incoming->Add(id, std::move(transport), std::move(peer));
}

void LoopListeners::Drop(CloseReason reason, const absl::Status& why) {
  for (const Part& part : parts_) part.incoming->Drop(reason, why);
}

void LoopListeners::DropOne(uint64_t id, CloseReason reason, const absl::Status& why) {
  for (const Part& part : parts_) {
    if (part.incoming->DropOne(id, reason, why)) return;
  }
}

size_t LoopListeners::connections() const {
  size_t all = 0;
  for (const Part& part : parts_) all += part.incoming->size();
  return all;
}

}  // namespace weft::internal
