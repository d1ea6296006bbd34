#include "weft/rpc/server/incoming_connections.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/check.h"
#include "weft/core/named_peer.h"
#include "weft/core/printable.h"
#include "weft/core/table_room.h"

namespace weft::internal {
namespace {

std::vector<std::string> AlpnOf(std::span<const Protocol> protocols) {
  std::vector<std::string> names;
  for (const Protocol& protocol : protocols) {
    // Rows that only dial are not offered.
    if (protocol.accept != nullptr && !protocol.alpn.empty()) names.emplace_back(protocol.alpn);
  }
  return names;
}

// So many characters are printed of a name that the transport reports.
constexpr size_t kMaxProtocolName = 40;

}  // namespace

IncomingConnections::IncomingConnections(IoThread& io, const IncomingOptions& options, Known known,
                                         Failed failed)
    : io_(io),
      loop_(*io.loop),
      protocols_(options.protocols),
      limit_(options.limit),
      known_(std::move(known)),
      failed_(std::move(failed)),
      optional_(options.transport != nullptr && options.transport_optional
                    ? options.transport->matcher()
                    : nullptr) {
  if (options.transport == nullptr) return;
  half_open_ = std::make_unique<HalfOpen>(
      loop_, options.transport, AlpnOf(protocols_), limit_,
      [this](uint64_t id, std::unique_ptr<Transport> done, std::string peer, MonoTime began) {
        loop_.AssertInLoop();
        OnShaken(id, std::move(done), std::move(peer), began);
      },
      failed_);
}

IncomingConnections::~IncomingConnections() { loop_.AssertInLoop(); }

bool IncomingConnections::MakeRoom() {
  // Room in both tables: a connection may pass from one to the other.
  const size_t needed = size() + 1;
  return (half_open_ == nullptr || half_open_->MakeRoom(needed)) && TryMakeRoom(sniffers_, needed);
}

void IncomingConnections::Add(uint64_t id, std::unique_ptr<Transport> transport, std::string peer) {
  const MonoTime now = loop_.clock().Now();
  if (half_open_ != nullptr && optional_ == nullptr) {
    half_open_->Add(id, std::move(transport), std::move(peer), now);
  } else {
    Sniff(id, std::move(transport), std::move(peer), now, optional_);
  }
}

void IncomingConnections::OnShaken(uint64_t id, std::unique_ptr<Transport> transport,
                                   std::string peer, MonoTime began) {
  const std::string& agreed = transport->identity().alpn;
  // No agreement by ALPN: the first bytes inside the transport say the protocol.
  if (agreed.empty()) {
    Sniff(id, std::move(transport), std::move(peer), began, nullptr);
    return;
  }
  for (const Protocol& protocol : protocols_) {
    if (protocol.accept == nullptr || protocol.alpn != agreed) continue;
    SessionSeed seed;
    seed.transport = std::move(transport);
    seed.peer = std::move(peer);
    seed.began = began;
    // One limit covers both handshakes; the session's part of it is at least a moment, so that its
    // own timer ends it.
    seed.handshake_left = std::max(limit_ - (loop_.clock().Now() - began), Nanos(1));
    known_(id, protocol, std::move(seed), SessionStart());
    return;
  }
  const std::vector<std::string> offered = AlpnOf(protocols_);
  failed_(id, CloseReason::kUnknownProtocol,
          absl::UnavailableError(absl::StrCat(
              "connection closed: its transport agreed on the protocol \"",
              Printable::Text(agreed, kMaxProtocolName), "\" (ALPN), and this listener takes ",
              offered.empty() ? "none by name" : absl::StrJoin(offered, ", "),
              NamedPeer::Ending("from", peer))));
}

void IncomingConnections::Sniff(uint64_t id, std::unique_ptr<Transport> transport, std::string peer,
                                MonoTime began, Matcher wrapped) {
  // The base is private, and make_unique could not convert to it.
  SnifferHost& host = *this;
  auto sniffer = std::make_unique<Sniffer>(io_, host, SnifferTable{protocols_, wrapped},
                                           std::move(transport), std::move(peer), began, limit_);
  Sniffer& started = *sniffer;
  sniffers_.emplace(&started, Entry{std::move(sniffer), id});
  if (const absl::Status s = started.Start(); !s.ok()) {
    sniffers_.erase(&started);
    failed_(id, CloseReason::kBroken, s);
  }
}

void IncomingConnections::Drop(CloseReason reason, const absl::Status& why) {
  if (half_open_ != nullptr) half_open_->Drop(reason, why);
  while (!sniffers_.empty()) {
    // The oldest first, and by number, so that a simulation repeats. The end of one may end others,
    // so each is looked up again.
    std::vector<std::pair<uint64_t, const Sniffer*>> all;
    for (const auto& [sniffer, entry] : sniffers_) all.emplace_back(entry.id, sniffer);
    std::sort(all.begin(), all.end());
    for (const auto& [id, sniffer] : all) {
      const auto it = sniffers_.find(sniffer);
      if (it == sniffers_.end() || it->second.id != id) continue;
      sniffers_.erase(it);
      failed_(id, reason, why);
    }
  }
}

bool IncomingConnections::DropOne(uint64_t id, CloseReason reason, const absl::Status& why) {
  if (half_open_ != nullptr && half_open_->DropOne(id, reason, why)) return true;
  const auto it =
      std::ranges::find_if(sniffers_, [id](const auto& one) { return one.second.id == id; });
  if (it == sniffers_.end()) return false;
  sniffers_.erase(it);
  failed_(id, reason, why);
  return true;
}

void IncomingConnections::OnKnown(Sniffer& sniffer, const Protocol& protocol, SessionSeed seed,
                                  SessionStart start) {
  const auto it = sniffers_.find(&sniffer);
  WEFT_DCHECK(it != sniffers_.end());
  const uint64_t id = it->second.id;
  // The sniffer has called this and is gone behind the erase; `seed` and `start` are values.
  sniffers_.erase(it);
  known_(id, protocol, std::move(seed), std::move(start));
}

void IncomingConnections::OnTransport(Sniffer& sniffer, SessionSeed seed, ReadAhead first) {
  const auto it = sniffers_.find(&sniffer);
  WEFT_DCHECK(it != sniffers_.end());
  const uint64_t id = it->second.id;
  sniffers_.erase(it);
  half_open_->Add(id, std::move(seed.transport), std::move(seed.peer), seed.began,
                  std::move(first));
}

void IncomingConnections::OnFailed(Sniffer& sniffer, CloseReason reason, const absl::Status& why) {
  const auto it = sniffers_.find(&sniffer);
  WEFT_DCHECK(it != sniffers_.end());
  const uint64_t id = it->second.id;
  const std::unique_ptr<Sniffer> ended = std::move(it->second.sniffer);  // `why` may belong to it
  sniffers_.erase(it);
  failed_(id, reason, why);
}

}  // namespace weft::internal
