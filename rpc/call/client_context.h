// Carries what a caller gives to one call and learns from it, beside the messages.
//
//   weft::ClientContext context;
//   context.metadata().Add("tenant", "blue");
//   stub.Say(request, {.context = &context});
//   context.trailers(), context.handler_time(), context.may_have_been_executed()
//
// Threads  Cancel, cancelled: any. metadata(): before the call starts. initial_metadata(): after
//          the call has ended; of a stream that is read already when a Read or
//          WaitForInitialMetadata, in any style, has said true, by whoever was told so. The rest:
//          after it has ended
// Owns     the metadata of both directions
// Ends     serves one call; must outlive it
#ifndef WEFT_RPC_CALL_CLIENT_CONTEXT_H_
#define WEFT_RPC_CALL_CLIENT_CONTEXT_H_

#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/call/call_handle.h"

namespace weft {

namespace internal {
class ContextWriter;
}  // namespace internal

class ClientContext {
 public:
  ClientContext() = default;
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  // Sent with the request.
  Metadata& metadata() { return metadata_; }
  // Raw bytes beside the request. They are sent from where they are, not copied. Not for methods
  // whose client streams.
  absl::Cord& attachment() { return attachment_; }
  // Raw bytes that came beside the reply, in the memory into which they were read.
  const absl::Cord& reply_attachment() const { return reply_attachment_; }
  // Came before the reply, or the stream's first message; empty where the server sent none.
  const Metadata& initial_metadata() const { return initial_metadata_; }
  // Came with the reply.
  const Metadata& trailers() const { return trailers_; }
  // How long the server took from having the request to answering it, the wait for a worker
  // included, as it says itself; zero when it did not answer.
  absl::Duration handler_time() const { return handler_time_; }
  // False: the server has certainly not executed the call (it was not sent, or refused). True: it
  // may have.
  bool may_have_been_executed() const { return may_have_been_executed_; }
  // The time from the call's start until its request was given to a connection: the wait for one,
  // and the attempts before the last. All of the call's time where it was never sent.
  absl::Duration queued() const { return queued_; }
  // The time from the call's start to its end on the I/O thread. The time after that, until a
  // callback runs or a caller wakes, is not in it.
  absl::Duration total() const { return total_; }
  // How often the call was sent, or tried to be: 1 where the first attempt was the last.
  int attempts() const { return attempts_; }

  // Ends the call with CANCELLED, unless it has ended. Before the call starts: it ends as soon as
  // it starts. The end comes later, on the I/O thread: no callback runs inside Cancel.
  WEFT_ANY_THREAD void Cancel() WEFT_EXCLUDES(mu_);
  WEFT_ANY_THREAD bool cancelled() const WEFT_EXCLUDES(mu_);
  // Also cancels when `token` is stopped. Call it before the call starts.
  void CancelOn(std::stop_token token) { cancel_on_.emplace(std::move(token), Canceller{this}); }

 private:
  friend class internal::ContextWriter;
  struct Canceller {
    ClientContext* context;
    void operator()() const { context->Cancel(); }
  };

  Metadata metadata_;
  Metadata initial_metadata_;
  Metadata trailers_;
  absl::Cord attachment_;
  absl::Cord reply_attachment_;
  absl::Duration handler_time_;
  bool may_have_been_executed_ = false;
  int attempts_ = 0;
  absl::Duration queued_, total_;
  mutable internal::Mutex mu_;
  bool cancelled_ WEFT_GUARDED_BY(mu_) = false;
  internal::CallHandle handle_ WEFT_GUARDED_BY(mu_);
  // The last member, so destroyed first: the callback refers to all of the others.
  std::optional<std::stop_callback<Canceller>> cancel_on_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CLIENT_CONTEXT_H_
