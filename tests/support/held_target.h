// A target whose calls end when the test says, on the test's thread.
//
// Threads  Start: any. The rest: the test's
#ifndef WEFT_TESTS_SUPPORT_HELD_TARGET_H_
#define WEFT_TESTS_SUPPORT_HELD_TARGET_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "tests/support/watched.h"
#include "weft/core/clock.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

class HeldTarget final : public CallTarget {
 public:
  void Start(internal::OutboundCall& call) override {
    call.MakePlan().started = Clock::System().Now();
    call.wire().sent = call.plan().started;
    size_t number = 0;
    requests.push_back(call.request.form() == internal::OutgoingRequest::Form::kMessage
                           ? call.request.message().SerializeAsString()
                           : std::string(call.request.bytes()));
    metadata.push_back(call.metadata() == nullptr ? Metadata() : *call.metadata());
    shared.push_back(call.request.shared());
    options.push_back(call.options);
    call.SetInFlight();
    calls_.Update([&](auto& all) {
      all.push_back(&call);
      number = all.size();
    });
    if (call.wants_handle()) call.Started(internal::CallHandle(canceller_, number));
  }

  // Calls that have come.
  size_t started() const { return calls_.Get().size(); }
  bool under_way(size_t n = 0) const { return n < started() && calls_.Get()[n] != nullptr; }
  bool cancelled(size_t n = 0) const {
    for (const uint64_t id : canceller_->ids.Get()) {
      // A call's handle has its number counted from 1.
      if (id == n + 1) return true;
    }
    return false;
  }

  // Ends the `n`th call.
  void Reply(const google::protobuf::MessageLite& message, size_t n = 0) {
    const std::string bytes = message.SerializeAsString();
    internal::CallEnd end;
    end.reply = bytes.data();
    end.reply_size = bytes.size();
    End(end, n);
  }
  void Fail(absl::Status status, size_t n = 0) {
    internal::CallEnd end;
    end.status = std::move(status);
    End(end, n);
  }
  void Refuse(size_t n = 0) {  // for want of room in the output
    internal::CallEnd end;
    end.status = absl::ResourceExhaustedError("its output is full");
    end.output_full = true;
    end.may_have_been_executed = false;
    End(end, n);
  }
  void End(const internal::CallEnd& end, size_t n = 0) {
    internal::OutboundCall* call = nullptr;
    calls_.Update([&](auto& all) { call = std::exchange(all.at(n), nullptr); });
    if (call != nullptr) call->End(end);
  }

  // The request, metadata and options of each call.
  std::vector<std::string> requests;
  std::vector<Metadata> metadata;
  std::vector<std::shared_ptr<const internal::SerializedRequest>> shared;
  std::vector<CallOptions> options;

 private:
  struct Canceller final : internal::CallCanceller {
    void CancelCall(uint64_t id) override {
      ids.Update([&](auto& all) { all.push_back(id); });
    }
    Watched<std::vector<uint64_t>> ids;
  };

  Watched<std::vector<internal::OutboundCall*>> calls_;  // null: it has ended
  const std::shared_ptr<Canceller> canceller_ = std::make_shared<Canceller>();
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_HELD_TARGET_H_
