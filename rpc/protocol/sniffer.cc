#include "weft/rpc/protocol/sniffer.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/input_arena.h"
#include "weft/core/named_peer.h"

namespace weft::internal {

Sniffer::Sniffer(IoThread& io, SnifferHost& host, const SnifferTable& table,
                 std::unique_ptr<Transport> transport, std::string peer, MonoTime began,
                 Nanos limit)
    : io_(io),
      loop_(*io.loop),
      host_(host),
      table_(table),
      limit_(limit),
      began_(began),
      peer_(std::move(peer)),
      transport_(std::move(transport)),
      timer_(loop_, [this] {
        loop_.AssertInLoop();
        Fail(CloseReason::kHandshakeTimeout,
             absl::StrCat(kept_size_ == 0 ? "nothing came within "
                                          : "too few bytes to tell its protocol came within ",
                          absl::FormatDuration(ToAbsl(limit_))));
      }) {
  loop_.AssertInLoop();
}

Sniffer::~Sniffer() {
  loop_.AssertInLoop();
  if (watch_ != nullptr) watch_->Stop();
}

absl::Status Sniffer::Start() {
  absl::StatusOr<std::unique_ptr<Watch>> watch = transport_->NewWatch(loop_, this);
  if (!watch.ok()) return watch.status();
  watch_ = *std::move(watch);
  watch_->WatchRead(true);
  // Counts from the accept on: bytes that come one by one do not prolong it.
  timer_.StartAt(SaturatingAdd(began_, limit_));
  return absl::OkStatus();
}

void Sniffer::OnReadable() {
  loop_.AssertInLoop();
  InputArena& arena = *io_.arena;
  char* const space = arena.space();
  // Bytes from earlier reads go in front, so that the rows see one run of bytes.
  std::memcpy(space, kept_.data(), kept_size_);
  const iovec piece = {space + kept_size_, arena.room() - kept_size_};
  const ssize_t n = transport_->Read(&piece, 1);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n < 0) {
    Fail(CloseReason::kBroken, std::string(absl::ErrnoToStatus(errno, "read").message()));
    return;
  }
  if (n == 0) {
    Fail(kept_size_ == 0 ? CloseReason::kPeerClosed : CloseReason::kTruncatedFrame,
         kept_size_ == 0 ? "by the peer, which had sent nothing"
                         : "by the peer, before its protocol was known");
    return;
  }
  arena.Active();
  Look(kept_size_ + static_cast<size_t>(n));
}

void Sniffer::Look(size_t size) {
  char* const space = io_.arena->space();
  // No row may depend on how many bytes one read happened to bring.
  const std::string_view first(space, std::min(size, Protocol::kMaxSniffed));
  // The transport first: bytes of a TLS handshake are no protocol's own.
  const Match wrapped = table_.transport != nullptr ? table_.transport(first) : Match::kNo;
  bool more = wrapped == Match::kNeedMore && first.size() < Protocol::kMaxSniffed;
  const Protocol* const protocol = more ? nullptr : Find(first, &more);
  if (wrapped == Match::kYes || (!more && protocol != nullptr)) {
    HandOn(wrapped == Match::kYes ? nullptr : protocol, size);
  } else if (more) {
    // Kept here, since the arena is used by other connections until the next bytes come. Never more
    // than kMaxSniffed, or the answer would be known.
    std::memcpy(kept_.data(), space, size);
    kept_size_ = size;
  } else {
    Fail(
        CloseReason::kUnknownProtocol,
        absl::StrCat("wrong preface: it begins with \"",
                     absl::CHexEscape(absl::string_view(space, std::min<size_t>(size, 16))), "\""));
  }
}

const Protocol* Sniffer::Find(std::string_view first, bool* more) const {
  for (const Protocol& protocol : table_.protocols) {
    // A protocol that can only be dialled.
    if (protocol.accept == nullptr) continue;
    const Match match = protocol.match(first);
    if (match == Match::kYes) return &protocol;
    // Rows are asked in order. A later row may match already, but an earlier one that may still
    // match goes before it.
    if (match == Match::kNeedMore && first.size() < Protocol::kMaxSniffed) {
      *more = true;
      return nullptr;
    }
  }
  return nullptr;
}

void Sniffer::HandOn(const Protocol* protocol, size_t size) {
  // A local: the host may destroy the sniffer below.
  InputArena& arena = *io_.arena;
  timer_.Stop();
  SessionSeed seed;
  seed.transport = std::move(transport_);
  seed.peer = std::move(peer_);
  seed.began = began_;
  // One limit for sniffing and handshake together: a slow peer does not get it twice.
  seed.handshake_left = std::max(limit_ - (loop_.clock().Now() - began_), Nanos(1));
  ReadAhead first{arena.block(), arena.space(), size};
  if (protocol != nullptr) {
    host_.OnKnown(*this, *protocol, std::move(seed), {std::move(watch_), std::move(first)});
  } else {
    watch_.reset();  // a wrapped transport makes its own watch
    host_.OnTransport(*this, std::move(seed), std::move(first));
  }
  // The sniffer may be destroyed by now.
  arena.Release(size);
}

void Sniffer::OnWatchFailed(const absl::Status& why) {
  loop_.AssertInLoop();
  Fail(CloseReason::kBroken, std::string_view(why.message().data(), why.message().size()));
}

void Sniffer::Fail(CloseReason reason, std::string_view what) {
  timer_.Stop();
  watch_->Stop();
  host_.OnFailed(*this, reason,
                 absl::UnavailableError(absl::StrCat("connection closed: ", AbslView(what),
                                                     NamedPeer::Ending("from", peer_))));
}

}  // namespace weft::internal
