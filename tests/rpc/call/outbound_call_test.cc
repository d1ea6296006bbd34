// The states of a call that this side started, each against each way for it to end; for calls with
// a stream as well.
#include "weft/rpc/call/outbound_call.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/protos/rows.weft.h"
#include "tests/support/drawn_states.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::test {

using namespace internal;

namespace {

using State = OutboundCall::State;

TEST(OutboundCall, GoesFromStateToStateAsItsHeaderDraws) {
  const std::vector<std::string> states{"kNew", "kWaiting", "kInFlight", "kEnded"};
  const Transitions drawn = DrawnIn("rpc/call/outbound_call.h", states);
  // A drawing that is not found would be empty.
  EXPECT_EQ(drawn.size(), 7u);
  EXPECT_EQ(drawn, Allowed<State>(states, OutboundCall::MayGo));
}

// A channel and its links, played: keeps one call, and ends it as it is told to.
class Played final : public CallTarget, public CallCanceller, public CallResender {
 public:
  void Start(OutboundCall& started) override {
    call = &started;
    call->MakePlan().resender = this;
    // A share that owns nothing: this lives on the test's stack.
    call->Started(CallHandle(std::shared_ptr<CallCanceller>(std::shared_ptr<void>(), this), 1));
  }
  void CancelCall(uint64_t) override { cancelled = true; }
  bool SendAgain(OutboundCall& given_back, const CallEnd& end) override {
    EXPECT_EQ(&given_back, call);
    // Only a call that no server has taken may be sent again.
    EXPECT_FALSE(end.may_have_been_executed);
    return resends && given_back.PrepareAgain();
  }

  void BringTo(State state) {
    if (state == State::kWaiting) {
      EXPECT_TRUE(call->PrepareAgain());
    }
    if (state == State::kInFlight) call->SetInFlight();
    EXPECT_EQ(call->state(), state);
  }
  // The call may be gone then.
  void End(absl::Status status, bool may_have_been_executed) {
    CallEnd end;
    end.status = std::move(status);
    end.may_have_been_executed = may_have_been_executed;
    call->End(end);
  }

  OutboundCall* call = nullptr;
  bool cancelled = false;
  bool resends = true;
};

// How often, and how, a call has ended.
struct Ends {
  std::vector<absl::StatusCode> codes;
};

class Unary final : public OutboundCall {
 public:
  Unary(const MethodInfo& called, const google::protobuf::MessageLite& message, Ends* ends)
      : OutboundCall(called, message, {}), ends_(ends) {}

 private:
  void Complete(const CallEnd& end) override { ends_->codes.push_back(end.status.code()); }

  Ends* const ends_;
};

// An event of a call, and how the call ends then. `goes_on`: not yet, for it is sent again.
struct Event {
  std::string_view name;
  absl::StatusCode code;
  bool executed;
  bool goes_on;
};

constexpr Event kEvents[] = {
    {"reply", absl::StatusCode::kOk, true, false},
    {"cancel", absl::StatusCode::kCancelled, true, false},
    {"deadline", absl::StatusCode::kDeadlineExceeded, true, false},
    {"close", absl::StatusCode::kUnavailable, true, false},
    // The same code as above, but certainly not executed.
    {"goaway", absl::StatusCode::kUnavailable, false, true},
};
constexpr State kStates[] = {State::kNew, State::kWaiting, State::kInFlight};

std::string Name(State state, std::string_view event) {
  const char* const names[] = {"kNew", "kWaiting", "kInFlight"};
  return names[static_cast<int>(state)] + (", " + std::string(event));
}

TEST(OutboundCallStates, EachMeetsEachEventAndEndsOnce) {
  const Row row;
  for (const State state : kStates) {
    for (const Event& event : kEvents) {
      SCOPED_TRACE(Name(state, event.name));
      Played played;
      Ends ends;
      Unary call(Rows::kGet, row, &ends);
      played.Start(call);
      played.BringTo(state);
      played.End(absl::Status(event.code, ""), event.executed);
      if (event.goes_on) {  // and ends later, when nothing takes it any more
        EXPECT_EQ(call.state(), State::kWaiting);
        EXPECT_TRUE(ends.codes.empty());
        // The call has found another link, and comes back from it.
        call.SetInFlight();
        played.resends = false;
        played.End(absl::Status(event.code, ""), event.executed);
      }
      EXPECT_EQ(call.state(), State::kEnded);
      EXPECT_EQ(ends.codes, std::vector<absl::StatusCode>{event.code});
    }
  }
}

TEST(OutboundCallStates, OfAStreamEachMeetsEachEventAndEndsWithIt) {
  for (const State state : kStates) {
    for (const Event& event : kEvents) {
      for (const bool half_closed : {false, true}) {
        SCOPED_TRACE(Name(state, event.name) + (half_closed ? ", half-closed" : ""));
        Played played;
        Rows::Stub stub(played);
        auto talk = stub.Talk({});
        played.BringTo(state);
        if (half_closed) talk.HalfClose();
        EXPECT_EQ(played.call->state(), state) << "a half-close is the stream's alone";
        if (event.name == "cancel") {
          talk.Cancel();
          EXPECT_TRUE(played.cancelled);
        }
        // The call may go with its end, so the port is held here.
        const std::shared_ptr<StreamPort> port = played.call->stream;
        played.End(absl::Status(event.code, ""), event.executed);
        if (event.goes_on) {
          EXPECT_EQ(played.call->state(), State::kWaiting);
          EXPECT_FALSE(port->ended());
          played.call->SetInFlight();
          played.resends = false;
          played.End(absl::Status(event.code, ""), event.executed);
        }
        EXPECT_TRUE(port->ended());
        Row row;
        EXPECT_EQ(port->TryRead(&row), StreamRead::kEnd);
        EXPECT_EQ(port->TryWrite(row, /*last=*/false), StreamSent::kEnded);
        EXPECT_EQ(talk.Finish().code(), event.code);
      }
    }
  }
}

TEST(OutboundCallStates, ItsStreamsHolderMayGoInEach) {
  for (const State state : kStates) {
    SCOPED_TRACE(Name(state, "its holder goes"));
    Played played;
    Rows::Stub stub(played);
    std::shared_ptr<StreamPort> port;
    {
      auto talk = stub.Talk({});
      port = played.call->stream;
      played.BringTo(state);
    }
    EXPECT_TRUE(played.cancelled);
    EXPECT_TRUE(port->ended());
    EXPECT_FALSE(played.call->PrepareAgain()) << "nobody waits for it any more";
    // The carrier's end comes as late as it likes; only then may the call go.
    played.End(absl::CancelledError(""), /*may_have_been_executed=*/true);
    EXPECT_EQ(port.use_count(), 1) << "the call has gone";
  }
}

}  // namespace
}  // namespace weft::test
