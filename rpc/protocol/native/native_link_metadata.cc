// What a native link sends before the messages and the answer of a call: its initial metadata.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/native_link.h"

namespace weft::native {

// Why they must not be sent, or OK.
absl::Status NativeLink::CheckInitialMetadata(const Metadata& pairs) {
  const size_t size = pairs.WireSize();
  const size_t own = std::min(limits_->max_metadata_bytes, kMaxMetadata);
  if (size <= own && size <= peer_limits_.max_metadata) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the reply's initial metadata of ", size, " bytes is over the limit of ",
                   std::min(own, peer_limits_.max_metadata), " (max_metadata_bytes of the ",
                   size > own ? "server)" : "client)"));
}

void NativeLink::WriteHeaders(uint64_t id, const Metadata& pairs) {
  FrameWriter(output(), std::max(peer_limits_.max_frame, kMinFrame)).Headers(id, pairs);
}

bool NativeLink::SendInitialMetadata(InboundCall& call) {
  InitialMetadata& initial = call.initial_metadata();
  bool claimed;
  {
    MutexLock lock(output().mutex());
    if (initial.sent || !peer_limits_.initial_metadata || output().closed()) return false;
    if (call.aborted.load(std::memory_order_relaxed)) return false;
    if (!CheckInitialMetadata(initial.pairs).ok()) return false;  // its answer says so
    initial.sent = true;
    WriteHeaders(call.id.load(std::memory_order_relaxed), initial.pairs);
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/loop().InLoop(), false);
  return true;
}

// Before the first message of a stream. False: they are more than may be sent.
bool NativeLink::BeginMessages(NativeStream& stream, absl::Status* why) {
  InitialMetadata& initial = *stream.initial_metadata;
  if (peer_limits_.initial_metadata) {
    if (!initial.sent && !initial.pairs.empty()) {
      *why = CheckInitialMetadata(initial.pairs);
      if (!why->ok()) return false;
      WriteHeaders(stream.id, initial.pairs);
    }
    initial.sent = true;
  }
  stream.initial_metadata = nullptr;
  return true;
}

// What goes out before the answer; null: nothing does. What the handler's own error says goes
// before it. A peer that does not take it gets it with the trailers.
const Metadata* NativeLink::TakeInitialMetadata(InboundCall& call, absl::Status* error) {
  InitialMetadata& initial = call.initial_metadata();
  MutexLock lock(output().mutex());
  if (initial.sent) return nullptr;
  if (!peer_limits_.initial_metadata) {
    initial.pairs.Append(call.trailers());
    std::swap(initial.pairs, call.trailers());
    initial.sent = true;
    return nullptr;
  }
  if (absl::Status s = CheckInitialMetadata(initial.pairs); !s.ok()) {
    if (error->ok()) *error = std::move(s);
    return nullptr;
  }
  initial.sent = true;
  return &initial.pairs;
}

}  // namespace weft::native
