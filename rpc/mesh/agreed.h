// Waits until as many peers as the want asks for have given the same reply.
//
//   weft::Agreed<HashReply> agreed;                      // the whole reply, byte for byte
//   weft::Agreed<GetReply> same([](const GetReply& r) { return r.value(); });
//   auto result = weft::Broadcast(node, Kv::kGet, request, {.want = Want::Majority(), …}, same);
//   const GetReply* reply = same.In(result);
//
// Messages are compared by their deterministic serialization. Unknown fields and fields set to
// their default therefore count as different only if they are on the wire.
//
// The broadcast fails as soon as no value can reach the wanted number any more: with ABORTED if the
// replies differ, with the peers' own error if too few have answered.
//
// Threads  as Reducer; In: after the outcome
#ifndef WEFT_RPC_MESH_AGREED_H_
#define WEFT_RPC_MESH_AGREED_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "weft/rpc/mesh/equal_replies.h"
#include "weft/rpc/mesh/reducer.h"

namespace weft {

template <typename Reply>
class Agreed final : public Reducer<Reply> {
 public:
  using Projection = std::function<std::string(const Reply&)>;

  Agreed() = default;
  // Replies are equal where `projection` of them is.
  explicit Agreed(Projection projection) : projection_(std::move(projection)) {}

  Step OnEnd(const PeerReply<Reply>& peer, const QuorumCount& count) override {
    if (peer.end == PeerEnd::kOk) {
      equal_.Add(peer.name, projection_ != nullptr ? projection_(*peer.reply)
                                                   : internal::EqualReplies::BytesOf(*peer.reply));
    }
    if (equal_.most() >= count.needed()) return Step::kDone;
    // The largest group could still grow by every call that is open.
    if (equal_.most() + count.open() >= count.needed()) return Step::kContinue;
    // Enough peers answer, but not alike. Otherwise `why` stays OK and the count names the
    // failures.
    if (count.ok() + count.open() >= count.needed()) {
      why_ = absl::AbortedError(absl::StrCat("peers do not agree: ", count.ok(), " have given ",
                                             equal_.different(), " different replies, ",
                                             equal_.most(), " of ", count.members(),
                                             " the same one, ", count.needed(), " needed"));
    }
    return Step::kFail;
  }
  absl::Status why() const override { return why_; }

  // The reply that the peers agree on. Null: they do not agree.
  const Reply* In(const BroadcastResult<Reply>& result) const {
    const std::string_view first = equal_.first();
    const PeerReply<Reply>* const peer = result.status.ok() ? result.Find(first) : nullptr;
    return peer != nullptr && peer->reply.ok() ? &*peer->reply : nullptr;
  }

 private:
  Projection projection_;
  internal::EqualReplies equal_;
  absl::Status why_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_AGREED_H_
