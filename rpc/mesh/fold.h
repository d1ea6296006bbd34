// Combines the replies of a broadcast into one value.
//
//   weft::Fold<CountReply, int64_t> sum(0, [](int64_t& all, const CountReply& one) {
//     all += one.keys();
//   });
//   auto result = weft::Broadcast(node, Kv::kCount, request, {}, sum);
//   sum.value()
//
// Threads  as Reducer; value: after the outcome
#ifndef WEFT_RPC_MESH_FOLD_H_
#define WEFT_RPC_MESH_FOLD_H_

#include <functional>
#include <utility>

#include "weft/rpc/mesh/reducer.h"

namespace weft {

template <typename Reply, typename Value>
class Fold final : public Reducer<Reply> {
 public:
  using Take = std::function<void(Value&, const Reply&)>;

  Fold(Value initial, Take take) : value_(std::move(initial)), take_(std::move(take)) {}

  Step OnEnd(const PeerReply<Reply>& peer, const QuorumCount&) override {
    if (peer.end == PeerEnd::kOk) take_(value_, *peer.reply);
    return Step::kByCount;
  }

  const Value& value() const { return value_; }

 private:
  Value value_;
  Take take_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_FOLD_H_
