// A streaming call that this side started: the call, its messages, and who waits for its end.
//
// Threads  any
// Owns     itself until it is complete; its holder (client_stream.h) has a share
// Ends     Complete, once, keeps the status for whoever asks
#ifndef WEFT_RPC_CALL_CLIENT_STREAM_CALL_H_
#define WEFT_RPC_CALL_CLIENT_STREAM_CALL_H_

#include <coroutine>
#include <memory>
#include <string_view>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "weft/core/coro.h"
#include "weft/core/mutex.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/resumption.h"
#include "weft/rpc/call/stream_port.h"

namespace weft {

class ClientStreamCall final : public OutboundCall, public StreamPort {
 public:
  using EndCallback = absl::AnyInvocable<void(absl::Status) &&>;

  // `request`: the only one, or, where the client streams, an empty one that stays. `reply`: where
  // the client alone streams.
  static std::shared_ptr<ClientStreamCall> Launch(
      CallTarget& target, const MethodInfo& method, const google::protobuf::MessageLite& request,
      std::unique_ptr<google::protobuf::MessageLite> reply, const CallOptions& options);
  ClientStreamCall(const MethodInfo& called, const google::protobuf::MessageLite& message,
                   std::unique_ptr<google::protobuf::MessageLite> reply, const CallOptions& wishes);

  // Waits; on an I/O thread it does not, and cancels.
  absl::Status WaitForEnd() WEFT_EXCLUDES(end_mu_);
  // Calls back, once, by the rule of core/callback_queue.h.
  void TellEnd(EndCallback done);
  // The same for weft's own: inside whatever ends the call. False: it has ended, `*status` says
  // how.
  bool WatchEnd(EndCallback told, absl::Status* status) WEFT_EXCLUDES(end_mu_);
  void StopTelling() WEFT_EXCLUDES(end_mu_);
  // After an OK end of a call whose client alone streams.
  google::protobuf::MessageLite* reply() { return reply_.get(); }

  void CancelFromHere() WEFT_EXCLUDES(end_mu_);
  // Nobody holds it any more. Who waits for its end is told so.
  void Abandon() WEFT_EXCLUDES(end_mu_);

  // OutboundCall
  bool wants_handle() const override { return true; }
  void Started(CallHandle handle) override WEFT_EXCLUDES(end_mu_);
  bool PrepareAgain() override WEFT_EXCLUDES(end_mu_);
  void OnInitialMetadata(std::string_view raw) override WEFT_EXCLUDES(end_mu_);

 private:
  void Complete(const CallEnd& end) override;
  void OnFailed(const absl::Status& error) override;
  bool WantsMessages() const override { return plan().interception != nullptr; }
  absl::Status OnStreamMessage(bool outgoing, size_t bytes) override;
  absl::Status TakeReply(const CallEnd& end);

  std::shared_ptr<ClientStreamCall> self_;  // until Complete
  const std::unique_ptr<google::protobuf::MessageLite> reply_;
  Mutex end_mu_;
  CallHandle handle_ WEFT_GUARDED_BY(end_mu_);
  bool done_ WEFT_GUARDED_BY(end_mu_) = false;
  bool abandoned_ WEFT_GUARDED_BY(end_mu_) = false;
  bool cancelled_ WEFT_GUARDED_BY(end_mu_) = false;
  absl::Status status_ WEFT_GUARDED_BY(end_mu_);
  EndCallback told_ WEFT_GUARDED_BY(end_mu_);
};

// `absl::Status`: how the call ended.
class [[nodiscard]] EndAwaiter {
 public:
  explicit EndAwaiter(ClientStreamCall& call) : call_(call) {}
  ~EndAwaiter() {
    if (waiting_) call_.StopTelling();
  }
  EndAwaiter(const EndAwaiter&) = delete;
  EndAwaiter& operator=(const EndAwaiter&) = delete;

  bool await_ready() { return false; }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    resumption_.Suspend(awaiter, call_.executor());
    waiting_ = true;
    const auto told = [this](absl::Status s) {
      status_ = std::move(s);
      resumption_.Go(call_.loop());
    };
    absl::Status ended;
    if (call_.WatchEnd(told, &ended)) return true;  // from here on it may be gone
    status_ = std::move(ended);
    return false;
  }
  absl::Status await_resume() {
    waiting_ = false;
    return std::move(status_);
  }

 private:
  ClientStreamCall& call_;
  bool waiting_ = false;
  absl::Status status_;
  call_internal::Resumption resumption_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CLIENT_STREAM_CALL_H_
