// The newest of the replies that a broadcast has waited for, by a number or text in them.
//
//   weft::Newest<GetReply, uint64_t> newest([](const GetReply& r) { return r.version(); });
//   auto result = weft::Broadcast(node, Kv::kGet, request, {.want = Want::Majority(), …}, newest);
//   const GetReply* best = newest.In(result);
//
// Threads  as Reducer; In: after the outcome
#ifndef WEFT_RPC_MESH_NEWEST_H_
#define WEFT_RPC_MESH_NEWEST_H_

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "weft/rpc/mesh/reducer.h"

namespace weft {

template <typename Reply, typename Version>
class Newest final : public Reducer<Reply> {
 public:
  explicit Newest(std::function<Version(const Reply&)> version) : version_(std::move(version)) {}

  Step OnEnd(const PeerReply<Reply>& peer, const QuorumCount&) override {
    if (peer.end != PeerEnd::kOk) return Step::kByCount;
    Version version = version_(*peer.reply);
    if (!best_.has_value() || *best_ < version) {
      best_ = std::move(version);
      peer_ = peer.name;
    }
    return Step::kByCount;
  }

  // The peer that gave the newest reply, the first of several with the same version; empty: no peer
  // has answered.
  const std::string& peer() const { return peer_; }
  const std::optional<Version>& version() const { return best_; }
  // Null: no peer has answered.
  const Reply* In(const BroadcastResult<Reply>& result) const {
    const PeerReply<Reply>* const peer = result.Find(peer_);
    return peer != nullptr && peer->reply.ok() ? &*peer->reply : nullptr;
  }

 private:
  std::function<Version(const Reply&)> version_;
  std::optional<Version> best_;
  std::string peer_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_NEWEST_H_
