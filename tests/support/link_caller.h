// Starts calls on one link, and has them end on its loop when it does not take them.
//
// Threads  any; the link's loop runs
// Owns     a share of the link
#ifndef WEFT_TESTS_SUPPORT_LINK_CALLER_H_
#define WEFT_TESTS_SUPPORT_LINK_CALLER_H_

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/event_loop.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::test {

class LinkCaller final : public CallTarget {
 public:
  LinkCaller(std::shared_ptr<internal::CallLink> link, std::shared_ptr<internal::EventLoop> loop)
      : link_(std::move(link)), loop_(std::move(loop)) {}

  void Start(internal::OutboundCall& call) override {
    if (call.stream != nullptr) call.stream->SetLoop(loop_);
    internal::OutboundCall::Plan& plan = call.MakePlan();
    plan.started = loop_->clock().Now();
    plan.deadline = plan.started + std::chrono::seconds(10);
    absl::Status why = absl::UnavailableError("the connection has ended, or takes no more calls");
    if (link_->TryStart(call, &why) == internal::CallLink::StartResult::kStarted) return;
    loop_->Post([&call, why](internal::TaskFate) {
      internal::CallEnd end;
      end.may_have_been_executed = false;
      end.by = internal::CallEnd::By::kChannel;
      end.status = why;
      call.End(end);
    });
  }

 private:
  const std::shared_ptr<internal::CallLink> link_;
  const std::shared_ptr<internal::EventLoop> loop_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_LINK_CALLER_H_
