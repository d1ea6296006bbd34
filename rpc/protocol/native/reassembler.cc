#include "weft/rpc/protocol/native/reassembler.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/check.h"
#include "weft/rpc/call/inbound_call.h"

namespace weft::internal::native {

size_t Reassembler::Earned(const Assembly& a, size_t filled) {
  const size_t earned = std::max(filled * kAhead, kMinRoom);
  // With half of it earned take the whole: that saves the last copy.
  return earned >= a.whole / 2 ? a.whole : earned;
}

absl::StatusOr<Assembly*> Reassembler::Begin(uint64_t id, bool reply, const Payload& payload,
                                             MonoTime now, std::string_view owner) {
  const size_t whole = payload.whole_size;
  // Announced bytes count, not those that have come: all may come at once.
  if (bytes_ + whole > max_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "unfinished messages on this connection would hold more than ", max_bytes_,
        " bytes (4 x max_message_bytes", owner.empty() ? "" : " of the ", AbslView(owner), ")"));
  }
  const uint64_t key = Key(id, reply);
  Assembly& a = unfinished_[key];
  bytes_ += whole;
  a.whole = whole;
  a.codec = static_cast<Compression>(payload.codec);
  a.inflated_size = payload.inflated_size;
  a.attachment_size = payload.attachment_size;
  // Credit covers the whole message: its block comes at once, and nothing is copied when it grows.
  if (credit_ >= whole) {
    credit_ -= whole;
    a.borrowed = whole;
  }
  absl::Status s = Grow(a, a.borrowed > 0 ? whole : Earned(a, payload.bytes.size()));
  if (s.ok()) s = Add(a, payload.bytes.data(), payload.bytes.size(), now);
  if (s.ok()) return &a;
  // Add may have failed with the entry made: it must not stay without its call.
  End(key, /*whole=*/false);
  return s;
}

absl::Status Reassembler::Add(Assembly& a, const char* data, size_t size, MonoTime now) {
  // UnfinishedMessages has failed the connection for a longer piece.
  WEFT_DCHECK(size <= a.missing());
  if (a.filled + size > a.room) {
    if (absl::Status s = Grow(a, Earned(a, a.filled + size)); !s.ok()) return s;
  }
  if (size > 0) std::memcpy(a.end(), data, size);
  a.filled += size;
  a.last_piece = now;
  return absl::OkStatus();
}

absl::Status Reassembler::MakeRoom(Assembly& a) {
  return a.room > a.filled ? absl::OkStatus() : Grow(a, Earned(a, a.filled));
}

absl::Status Reassembler::Grow(Assembly& a, size_t room) {
  WEFT_DCHECK(room > a.room && room <= a.whole);
  const size_t more = room - a.room;
  // Charged before the memory is taken, and given back if there is none.
  if (absl::Status s = account_.TryAdd(more); !s.ok()) return s;
  BlockRef block = blocks_.TryGet(room);
  if (!block) {
    account_.Remove(more);
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", room, " of the ", a.whole,
                                                     " bytes of the message, of which ", a.filled,
                                                     " have come"));
  }
  if (a.filled > 0) std::memcpy(block->data(), a.block->data(), a.filled);
  a.block = std::move(block);
  a.room = room;
  return absl::OkStatus();
}

void Reassembler::End(uint64_t key, bool whole) {
  const auto it = unfinished_.find(key);
  if (it == unfinished_.end()) return;
  const Assembly& a = it->second;
  // Credit spent on a message that never became whole is lost. A peer whose messages become whole
  // is trusted with as many bytes at once.
  if (whole) credit_ = std::min(credit_ + a.whole, max_bytes_);
  bytes_ -= a.whole;
  // The finished message is charged again by its new holder, for what that keeps.
  account_.Remove(a.room);
  unfinished_.erase(it);
}

std::vector<InboundCall*> Reassembler::Calls() const {
  std::vector<std::pair<uint64_t, InboundCall*>> all;
  for (const auto& [key, a] : unfinished_) {
    if (a.call != nullptr) all.emplace_back(key, a.call);
  }
  // By number, as for FindLate: ends come in the same order in each run.
  std::sort(all.begin(), all.end());
  std::vector<InboundCall*> calls;
  for (const auto& [key, call] : all) calls.push_back(call);
  return calls;
}

void Reassembler::Clear() {
  for (const auto& [key, a] : unfinished_) account_.Remove(a.room);
  unfinished_.clear();
  bytes_ = 0;
}

std::vector<Reassembler::Late> Reassembler::FindLate(MonoTime now, Nanos pause, MonoTime heard,
                                                     MonoTime* next) const {
  std::vector<Late> late;
  *next = kNever;
  for (const auto& [key, a] : unfinished_) {
    const MonoTime deadline = a.call != nullptr ? a.call->deadline : kNever;
    const MonoTime silent =
        pause > Nanos::zero() ? SaturatingAdd(std::max(a.last_piece, heard), pause) : kNever;
    if (now < deadline && now < silent) {
      *next = std::min({*next, deadline, silent});
      continue;
    }
    late.push_back({key & ~kReplyBit, (key & kReplyBit) != 0, now >= deadline});
  }
  // Ordered, so that runs repeat: the map's own order does not.
  std::sort(late.begin(), late.end(), [](const Late& a, const Late& b) {
    return a.id != b.id ? a.id < b.id : a.reply < b.reply;
  });
  return late;
}

}  // namespace weft::internal::native
