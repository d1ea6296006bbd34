// A call that notes how it ends. It has a deadline, and never a target that would make its plan.
//
// Threads  any, but for the handle: the one that starts it
#ifndef WEFT_TESTS_SUPPORT_NOTING_CALL_H_
#define WEFT_TESTS_SUPPORT_NOTING_CALL_H_

#include <atomic>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "tests/support/watched.h"
#include "weft/core/clock.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

class NotingCall final : public internal::OutboundCall {
 public:
  // `called` and `message` outlive it.
  NotingCall(const MethodInfo& called, const google::protobuf::MessageLite& message,
             const CallOptions& wishes, Nanos timeout)
      : internal::OutboundCall(called, message, wishes) {
    MakePlan().started = Clock::System().Now();
    MakePlan().deadline = plan().started + timeout;
  }
  bool wants_handle() const override { return true; }
  void Started(internal::CallHandle h) override { handle = std::move(h); }

  // Waits for its end, of which there is one.
  absl::Status AwaitEnd() {
    EXPECT_TRUE(ends.WaitFor([](const auto& all) { return !all.empty(); }));
    const std::vector<absl::Status> all = ends.Get();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? absl::UnknownError("it has not ended") : all[0];
  }

  internal::CallHandle handle;
  Watched<std::vector<absl::Status>> ends{{}};
  std::atomic<bool> output_full{false};

 private:
  void Complete(const internal::CallEnd& end) override {
    EXPECT_FALSE(end.may_have_been_executed);
    output_full = end.output_full;
    ends.Update([&](auto& all) { all.push_back(end.status); });
  }
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_NOTING_CALL_H_
