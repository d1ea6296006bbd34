#include "weft/rpc/server/incoming_connections.h"

#include <utility>
#include <vector>

#include "weft/core/check.h"
#include "weft/core/table_room.h"

namespace weft {
namespace {

std::vector<std::string> AlpnOf(std::span<const Protocol> protocols) {
  std::vector<std::string> names;
  for (const Protocol& protocol : protocols) {
    if (protocol.accept != nullptr && !protocol.alpn.empty()) names.emplace_back(protocol.alpn);
  }
  return names;
}

}  // namespace

IncomingConnections::IncomingConnections(IoThread& io, std::span<const Protocol> protocols,
                                         std::shared_ptr<TransportFactory> transport, Nanos limit,
                                         Known known, Failed failed)
    : io_(io),
      loop_(*io.loop),
      protocols_(protocols),
      limit_(limit),
      known_(std::move(known)),
      failed_(std::move(failed)) {
  if (transport == nullptr) return;
  half_open_ = std::make_unique<HalfOpen>(
      loop_, std::move(transport), AlpnOf(protocols_), limit_,
      [this](uint64_t id, std::unique_ptr<Transport> done, std::string peer, MonoTime began) {
        loop_.AssertInLoop();
        Sniff(id, std::move(done), std::move(peer), began);
      },
      failed_);
}

IncomingConnections::~IncomingConnections() { loop_.AssertInLoop(); }

bool IncomingConnections::MakeRoom() {
  return (half_open_ == nullptr || half_open_->MakeRoom()) && TryMakeRoom(sniffers_, size() + 1);
}

void IncomingConnections::Add(uint64_t id, std::unique_ptr<Transport> transport, std::string peer) {
  if (half_open_ != nullptr) {
    half_open_->Add(id, std::move(transport), std::move(peer));
  } else {
    Sniff(id, std::move(transport), std::move(peer), loop_.clock().Now());
  }
}

void IncomingConnections::Sniff(uint64_t id, std::unique_ptr<Transport> transport, std::string peer,
                                MonoTime began) {
  SnifferHost& host = *this;
  auto sniffer = std::make_unique<Sniffer>(io_, host, protocols_, std::move(transport),
                                           std::move(peer), began, limit_);
  Sniffer& started = *sniffer;
  sniffers_.emplace(&started, Entry{std::move(sniffer), id});
  if (const absl::Status s = started.Start(); !s.ok()) {
    sniffers_.erase(&started);
    failed_(id, CloseReason::kBroken, s);
  }
}

void IncomingConnections::Drop(CloseReason reason, const absl::Status& why) {
  if (half_open_ != nullptr) half_open_->Drop(reason, why);
  TakeEach(sniffers_, [&](auto dropped) {
    const uint64_t id = dropped.mapped().id;
    dropped = {};
    failed_(id, reason, why);
  });
}

void IncomingConnections::OnKnown(Sniffer& sniffer, const Protocol& protocol, SessionSeed seed,
                                  SessionStart start) {
  const auto it = sniffers_.find(&sniffer);
  WEFT_DCHECK(it != sniffers_.end());
  const uint64_t id = it->second.id;
  sniffers_.erase(it);
  known_(id, protocol, std::move(seed), std::move(start));
}

void IncomingConnections::OnFailed(Sniffer& sniffer, CloseReason reason, const absl::Status& why) {
  const auto it = sniffers_.find(&sniffer);
  WEFT_DCHECK(it != sniffers_.end());
  const uint64_t id = it->second.id;
  const std::unique_ptr<Sniffer> ended = std::move(it->second.sniffer);  // `why` may be its own
  sniffers_.erase(it);
  failed_(id, reason, why);
}

}  // namespace weft
