// The target of a generated stub: referred to, or kept.
//
// Threads  value
// Owns     a share of a target that was given by std::shared_ptr; any other outlives it
#ifndef WEFT_RPC_CALL_STUB_TARGET_H_
#define WEFT_RPC_CALL_STUB_TARGET_H_

#include <memory>
#include <utility>

#include "weft/core/check.h"
#include "weft/rpc/call/call_target.h"

namespace weft {

class StubTarget {
 public:
  // A share of nothing, which costs no count.
  explicit StubTarget(CallTarget& target) : target_(std::shared_ptr<void>(), &target) {}
  // Not null.
  explicit StubTarget(std::shared_ptr<CallTarget> target) : target_(std::move(target)) {
    WEFT_DCHECK(target_ != nullptr);
  }

  CallTarget& operator*() const { return *target_; }

 private:
  std::shared_ptr<CallTarget> target_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_STUB_TARGET_H_
