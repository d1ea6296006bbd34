// The right to answer one call, later and from any thread.
//
//   void Say(ServerContext& call, HelloRequest& request,
//            weft::Responder<HelloReply> responder) override {
//     queue_.push_back(std::move(responder));     // … and somewhere else:
//     responder.reply().set_text("hello");
//     responder.Finish();
//   }
//
// The request, the reply and the ServerContext live until Finish.
//
// Threads  value: one holder at a time, any thread
// Owns     the answer: one destroyed without Finish ends the call with INTERNAL, or with UNKNOWN
//          when it goes because its handler throws
// Ends     Finish, once; it leaves the responder empty. It does not wait, and no callback runs
//          inside it: a lock may be held around it, and around the destructor
#ifndef WEFT_RPC_CALL_RESPONDER_H_
#define WEFT_RPC_CALL_RESPONDER_H_

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/check.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/server_context.h"

namespace weft {

namespace internal {

// Stands around a handler that was given a responder. A responder that is destroyed while the
// handler's stack is unwound leaves the answer to the code that catches, for only that knows the
// exception.
//
// Threads  the handler's
class HandlerScope {
 public:
  explicit HandlerScope(const InboundCall& call);
  ~HandlerScope();
  HandlerScope(const HandlerScope&) = delete;
  HandlerScope& operator=(const HandlerScope&) = delete;

  // Called by the responder's destructor. False: no handler of that call runs on this thread, or
  // none throws.
  static bool Leave(const InboundCall& call);
  // True if the call has not been answered and nobody else can answer it.
  bool left() const { return left_; }

 private:
  const InboundCall* const call_;
  HandlerScope* const outer_;
  bool left_ = false;
};

}  // namespace internal

template <typename Reply>
class Responder {
 public:
  using AnswerFn = void (*)(internal::InboundCall& call, const absl::Status& status);

  // For the trampoline of a handler.
  Responder(internal::InboundCall& call, Reply& reply, AnswerFn answer)
      : call_(&call), reply_(&reply), answer_(answer) {}
  Responder(Responder&& o) noexcept
      : call_(std::exchange(o.call_, nullptr)), reply_(o.reply_), answer_(o.answer_) {}
  Responder& operator=(Responder&& o) noexcept {
    std::swap(call_, o.call_);
    std::swap(reply_, o.reply_);
    std::swap(answer_, o.answer_);
    return *this;
  }
  ~Responder() {
    if (call_ == nullptr || internal::HandlerScope::Leave(*call_)) return;
    Finish(Dropped());
  }

  // Filled by the handler, sent by an OK Finish.
  Reply& reply() { return *reply_; }
  ServerContext& context() { return call_->context(); }
  bool finished() const { return call_ == nullptr; }
  static absl::Status Dropped() {
    return absl::InternalError("the handler dropped its responder without an answer");
  }

  void Finish(const absl::Status& status = absl::OkStatus()) {
    WEFT_DCHECK(call_ != nullptr);
    if (internal::InboundCall* call = std::exchange(call_, nullptr)) answer_(*call, status);
  }

 private:
  internal::InboundCall* call_;
  Reply* reply_;
  AnswerFn answer_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_RESPONDER_H_
