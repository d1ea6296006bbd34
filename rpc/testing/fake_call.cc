#include "weft/rpc/testing/fake_call.h"

#include <future>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/testing/as_received.h"

namespace weft::internal {
namespace {

// Credit that each message costs: 1, so that returned credit counts messages.
constexpr size_t kCost = 1;
constexpr uint64_t kId = 1;

std::string BytesOf(const Metadata& metadata) {
  std::string bytes(metadata.WireSize(), '\0');
  metadata.WriteTo(bytes.data());
  return bytes;
}

}  // namespace

// The last reference may be a caller's, who must not wait for the I/O thread. So the loop drops the
// runtime.
FakeCall::~FakeCall() WEFT_NO_THREAD_ANALYSIS {
  if (runtime_ == nullptr) return;
  // A share of the loop until Post has returned: the task may destroy the runtime earlier.
  const std::shared_ptr<EventLoop> loop = runtime_->loops().At(0).loop;
  loop->Post([runtime = std::move(runtime_)](TaskFate) {});
}

// ---- by the test

void FakeCall::Push(const google::protobuf::MessageLite& message, const absl::Cord& attachment) {
  ReceivedMessage bytes = AsReceived(message, attachment);
  {
    MutexLock lock(mu_);
    if (!script_.Push(std::move(bytes))) return;
  }
  DeliverPushed();
}

void FakeCall::End(absl::Status status) {
  {
    MutexLock lock(mu_);
    if (!script_.End(std::move(status))) return;
  }
  EndIfDue();
}

void FakeCall::EndAtHalfClose(absl::Status status) {
  {
    MutexLock lock(mu_);
    script_.EndAtHalfClose(std::move(status));
  }
  EndIfDue();
}

void FakeCall::SetReply(const google::protobuf::MessageLite& reply) {
  std::string bytes = reply.SerializePartialAsString();
  MutexLock lock(mu_);
  script_.SetReply(std::move(bytes));
}

void FakeCall::SetTrailers(const Metadata& trailers) {
  std::string bytes = BytesOf(trailers);
  MutexLock lock(mu_);
  script_.SetTrailers(std::move(bytes));
}

void FakeCall::SetInitialMetadata(const Metadata& metadata) {
  std::string bytes = BytesOf(metadata);
  MutexLock lock(mu_);
  script_.SetInitialMetadata(std::move(bytes));
}

void FakeCall::FailAfter(size_t messages, absl::Status status) {
  {
    MutexLock lock(mu_);
    script_.FailAfter(messages, std::move(status));
  }
  EndIfDue();
}

void FakeCall::SetRoom(size_t messages) {
  std::shared_ptr<StreamPort> port;
  {
    MutexLock lock(mu_);
    room_ = messages;
    if (room_ > 0 && std::exchange(wants_room_, false)) port = port_;
  }
  if (port != nullptr) port->OnRoom();
}

void FakeCall::WaitForCallbacks() {
  std::shared_ptr<Runtime> runtime;
  {
    MutexLock lock(mu_);
    runtime = runtime_;
  }
  if (runtime == nullptr || EventLoop::Current() != nullptr) return;
  EventLoop& loop = *runtime->loops().At(0).loop;
  std::promise<void> ran;
  // Posted, then queued as a callback: behind the loop's tasks and the callbacks that they queue.
  loop.Post([&loop, &ran](TaskFate) {
    CallbackQueue::Call(&loop, "a wait for callbacks", [&ran] { ran.set_value(); });
  });
  ran.get_future().wait();
}

bool FakeCall::opened() const {
  MutexLock lock(mu_);
  return opened_;
}

bool FakeCall::half_closed() const {
  MutexLock lock(mu_);
  return half_closed_;
}

bool FakeCall::cancelled() const {
  MutexLock lock(mu_);
  return cancelled_;
}

bool FakeCall::ended() const {
  MutexLock lock(mu_);
  return opened_ && call_ == nullptr;
}

// ---- by the call

void FakeCall::Start(OutboundCall& call) {
  call.MakePlan().started = call.wire().sent = Clock::System().Now();
  call.wire().id = kId;
  const std::shared_ptr<StreamPort> port = call.stream;
  bool again;
  std::optional<std::string> initial_metadata;
  {
    MutexLock lock(mu_);
    initial_metadata = script_.initial_metadata();
    again = std::exchange(opened_, true);
    if (!again) {
      call_ = &call;
      port_ = port;
      starting_ = true;  // a context cancelled before calls Cancel from inside Start
    }
  }
  if (again) {
    CallEnd end;
    end.status = absl::FailedPreconditionError(
        absl::StrCat("call ", std::string(call.method.full_name),
                     ": the fake has been opened before; make one for each call"));
    end.may_have_been_executed = false;
    call.End(end);
    return;
  }
  call.SetInFlight();
  if (absl::StatusOr<std::shared_ptr<Runtime>> runtime = Runtime::Create(); runtime.ok()) {
    port->SetLoop((*runtime)->loops().At(0).loop);
    MutexLock lock(mu_);
    runtime_ = *std::move(runtime);
  }
  port->Bind(
      std::shared_ptr<StreamTransport>(shared_from_this(), static_cast<StreamTransport*>(this)),
      /*max_message=*/{kNoLimit, "test"});
  if (call.wants_handle()) {
    call.Started(CallHandle(std::shared_ptr<CallCanceller>(shared_from_this(), &canceller_), kId));
  }
  if (initial_metadata.has_value()) call.OnInitialMetadata(*initial_metadata);
  {
    MutexLock lock(mu_);
    starting_ = false;
  }
  DeliverPushed();
  EndIfDue();
}

void FakeCall::Cancel() {
  {
    MutexLock lock(mu_);
    if (call_ == nullptr) return;
    cancelled_ = true;
  }
  EndIfDue();
}

StreamSent FakeCall::SendMessage(StreamPort&, const StreamMessage& message, bool last, bool,
                                 absl::Status*) {
  {
    MutexLock lock(mu_);
    if (call_ == nullptr || half_closed_) return StreamSent::kEnded;
    if (room_ == 0) {
      wants_room_ = true;
      return StreamSent::kBlocked;
    }
    if (room_ != kNoLimit) --room_;
  }
  // The function may drop the call, and with it the last share of this fake.
  const std::shared_ptr<FakeCall> self = shared_from_this();
  if (on_message_) {  // a fake's call is never sent again, so the message is as written
    on_message_(*message.message,
                message.attachment != nullptr ? *message.attachment : absl::Cord());
  }
  {
    MutexLock lock(mu_);
    ++written_;
    if (last) half_closed_ = true;
  }
  EndIfDue();
  return StreamSent::kSent;
}

void FakeCall::SendHalfClose(StreamPort&) {
  {
    MutexLock lock(mu_);
    half_closed_ = true;
  }
  EndIfDue();
}

void FakeCall::ReturnCredit(StreamPort& port, size_t bytes) {
  // The stream was dropped with its unread messages; its cancelling follows.
  if (port.ended()) return;
  {
    MutexLock lock(mu_);
    script_.SetRead(bytes / kCost);
  }
  EndIfDue();
}

bool FakeCall::HasRoom(StreamPort&) {
  MutexLock lock(mu_);
  if (call_ == nullptr || half_closed_) return false;
  if (room_ == 0) wants_room_ = true;
  return room_ > 0;
}

void FakeCall::DeliverPushed() {
  {
    MutexLock lock(mu_);
    if (starting_ || std::exchange(delivering_, true)) return;
  }
  for (;;) {
    ReceivedMessage message;
    std::shared_ptr<StreamPort> port;
    {
      MutexLock lock(mu_);
      if (port_ == nullptr || !script_.TakePushed(&message)) {
        delivering_ = false;
        return;
      }
      port = port_;
    }
    port->Deliver(std::move(message), kCost);
  }
}

std::optional<absl::Status> FakeCall::DueEnd() const {
  if (call_ == nullptr || starting_) return std::nullopt;
  if (cancelled_) {
    return absl::CancelledError(
        absl::StrCat("call ", std::string(call_->method.full_name), ": cancelled by the caller"));
  }
  return script_.DueEnd(written_, half_closed_);
}

void FakeCall::EndIfDue() {
  CallEnd end;
  std::string reply, trailers;
  OutboundCall* call;
  std::shared_ptr<StreamPort> port;  // destroyed after the lock is released
  {
    MutexLock lock(mu_);
    std::optional<absl::Status> due = DueEnd();
    if (!due.has_value()) return;
    end.status = *std::move(due);
    reply = script_.reply();
    trailers = script_.trailers();
    call = std::exchange(call_, nullptr);
    port = std::move(port_);
  }
  if (end.status.ok()) {
    end.reply = reply.data();
    end.reply_size = reply.size();
  }
  end.trailers = trailers;
  // End may drop the last other share.
  const std::shared_ptr<FakeCall> self = shared_from_this();
  call->End(end);
}

}  // namespace weft::internal
