// A streaming call that this side started: the call, its messages, and the waiter for its end.
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
#include "weft/rpc/call/resume_ticket.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::internal {

class ClientStreamCall final : public OutboundCall, public StreamPort {
 public:
  using EndCallback = absl::AnyInvocable<void(absl::Status) &&>;

  // `request`: the only one, or, where the client streams, an empty one that stays. `reply`: where
  // the client alone streams. `shared`: the same request, where others send it too; or null.
  static std::shared_ptr<ClientStreamCall> Launch(
      CallTarget& target, const MethodInfo& method, const google::protobuf::MessageLite& request,
      std::unique_ptr<google::protobuf::MessageLite> reply, const CallOptions& options,
      const std::shared_ptr<const SerializedRequest>& shared = nullptr);
  ClientStreamCall(const MethodInfo& called, const google::protobuf::MessageLite& message,
                   std::unique_ptr<google::protobuf::MessageLite> reply, const CallOptions& wishes);

  // Waits for the end. On an I/O thread it does not wait, and cancels the call.
  absl::Status WaitForEnd() WEFT_EXCLUDES(end_mu_);
  // Calls `done` once, by the rule of core/callback_queue.h.
  void TellEnd(EndCallback done);
  // For weft's own code: calls `told` inside the call that ends the stream. False: it has ended,
  // and `*status` says how.
  bool WatchEnd(EndCallback told, absl::Status* status) WEFT_EXCLUDES(end_mu_);
  void StopTelling() WEFT_EXCLUDES(end_mu_);
  // After an OK end of a call whose client alone streams.
  google::protobuf::MessageLite* reply() { return reply_.get(); }

  void CancelFromHere() WEFT_EXCLUDES(end_mu_);
  // The holder is gone. Cancels the call, and tells the waiter for its end.
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
  // The present carrier's; empty before Started and after the end.
  CallHandle handle_ WEFT_GUARDED_BY(end_mu_);
  // From here on `status_` is the call's.
  bool done_ WEFT_GUARDED_BY(end_mu_) = false;
  bool abandoned_ WEFT_GUARDED_BY(end_mu_) = false;
  // True also while no carrier has the call: Started then cancels it at once.
  bool cancelled_ WEFT_GUARDED_BY(end_mu_) = false;
  absl::Status status_ WEFT_GUARDED_BY(end_mu_);
  // The waiter for the end; null: none.
  EndCallback told_ WEFT_GUARDED_BY(end_mu_);
};

// `absl::Status`: how the call ended.
class [[nodiscard]] EndAwaiter {
 public:
  explicit EndAwaiter(ClientStreamCall& call) : call_(call) {}
  ~EndAwaiter() {
    if (ticket_ == nullptr) return;
    call_.StopTelling();
    ticket_->TakeBack();  // the end may be on its way already
  }
  EndAwaiter(const EndAwaiter&) = delete;
  EndAwaiter& operator=(const EndAwaiter&) = delete;

  bool await_ready() { return false; }
  // The end comes from any thread, and finds the ticket, never this, which goes with its coroutine.
  bool await_suspend(std::coroutine_handle<> awaiter) {
    auto ticket = std::make_shared<Ticket>(awaiter, call_);
    ticket_ = ticket;
    auto told = [ticket = std::move(ticket)](absl::Status s) mutable {
      Go(std::move(ticket), std::move(s));
    };
    absl::Status ended;
    if (call_.WatchEnd(std::move(told), &ended)) return true;  // from here on it may be gone
    ticket_->status = std::move(ended);
    return false;
  }
  absl::Status await_resume() { return std::move(std::exchange(ticket_, nullptr)->status); }

 private:
  struct Ticket final : ResumeTicket {
    Ticket(std::coroutine_handle<> awaiter, ClientStreamCall& ends)
        : ResumeTicket(awaiter, ends.executor()), call(ends) {}
    ClientStreamCall& call;  // tells of its end, and so is there
    absl::Status status;
  };
  static void Go(std::shared_ptr<Ticket> ticket, absl::Status status) {
    ticket->status = std::move(status);
    EventLoop* const loop = ticket->call.loop();
    ResumeTicket::Go(std::move(ticket), loop);
  }

  ClientStreamCall& call_;
  std::shared_ptr<Ticket> ticket_;  // while it waits
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CLIENT_STREAM_CALL_H_
