#include "weft/rpc/call/inbound_call.h"

#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::internal {

size_t ReplyMessage::Count() { return size_ = MessageCodec::ByteSize(message()); }

void InboundCall::Reset() {
  id.store(0, std::memory_order_relaxed);
  origin.reset();
  bound = nullptr;
  serving.runner = nullptr;
  serving.listener = nullptr;
  serving.queue = nullptr;
  serving.admitted = false;
  SetShare(nullptr);
  deadline = kNever;
  request_.Reset();
  own_messages.reset();
  interception.reset();
  stream.reset();
  aborted.store(false, std::memory_order_relaxed);
  cancel_.Reset();
  answered_.store(false, std::memory_order_relaxed);
  refused_ = false;
  metadata_.Reset();
  // This runs for every call, and most have none of these: a look costs less than to clear.
  if (!reply_.attachment.empty()) reply_.attachment.Clear();
  if (!reply_.trailers.empty()) reply_.trailers.Clear();
  if (!reply_.initial_metadata.pairs.empty()) reply_.initial_metadata.pairs.Clear();
  reply_.initial_metadata.sent = false;
}

void InboundCall::MarkCancelled() {
  // Take shares first: the handler that learns of it may answer at once, and then `this` may
  // already be another call.
  const std::shared_ptr<StreamPort> port = stream;
  const std::shared_ptr<CallScope> scope = cancel_.Mark();
  if (scope == nullptr) {
    if (port != nullptr) port->EndStream(/*drop=*/true);
    return;
  }
  // Stop runs callbacks of the handler, so it goes through the queue. They come before its reads
  // and writes end, so that a handler that wakes finds its token stopped.
  CallbackQueue::Call(nullptr, "a callback of a stop token", [port, scope] {
    scope->Stop();
    if (port != nullptr) port->EndStream(/*drop=*/true);
  });
}

std::string_view InboundCall::MethodName() const { return bound->method->info->full_name; }

void InboundCall::Run(int worker) { serving.runner->RunCall(*this, worker); }
void InboundCall::Cancel() { serving.runner->RefuseCall(*this); }

absl::Status InboundCall::CheckStillWanted() const {
  // Read the flag once. A cancel that comes later is the handler's to see.
  const bool was_cancelled = cancelled();
  if (was_cancelled && cancel_.stopped()) {
    return absl::UnavailableError("the server has stopped; the call was not executed");
  }
  if (deadline != kNever) {
    const MonoTime now = clock->Now();
    if (now >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("deadline passed in the server's queue, not executed (waited ",
                       InMs(now - received), ")"));
    }
  }
  // Checked after the deadline: a passed deadline also cancels, and DEADLINE_EXCEEDED is the more
  // useful answer.
  if (was_cancelled) return absl::CancelledError("cancelled before it was executed");
  return absl::OkStatus();
}

bool InboundCall::Parse(google::protobuf::MessageLite& request) {
  if (interception != nullptr) {
    if (absl::Status s = OnMessage(MessageDirection::kReceived, request_.size()); !s.ok()) {
      Refuse(s);
      return false;
    }
  }
  const absl::Status parsed = request_.Parse(MethodName(), &request);
  if (parsed.ok()) return true;
  Refuse(parsed);
  return false;
}

void InboundCall::Refuse(const absl::Status& status) {
  refused_ = true;
  Answer(status, nullptr);
}

// Returns the error that a stream ends with, whatever its handler says; OK: the handler's status
// counts. A handler cannot tell a stream that was ended from outside from one whose caller has
// finished or does not read, so its OK would be wrong.
absl::Status InboundCall::StreamError() const {
  if (absl::Status error = stream->error(); !error.ok() || !stream->ended()) return error;
  if (cancel_.stopped()) {
    return absl::UnavailableError("the server has stopped; the stream had not come to its end");
  }
  if (answered >= deadline) {
    return absl::DeadlineExceededError(
        "the deadline passed at the server; the stream had not come to its end");
  }
  return absl::CancelledError("cancelled; the stream had not come to its end");
}

void InboundCall::Answer(const absl::Status& wish, ReplyMessage* reply) {
  if (home_.InForkedChild()) return;
  if (answered_.exchange(true, std::memory_order_acq_rel)) {
    WEFT_DCHECK(false);  // a handler's bug: a second answer
    return;
  }
  answered = clock->Now();
  if (reply != nullptr && wish.ok() &&
      ABSL_PREDICT_FALSE(!MessageCodec::IsComplete(reply->message()))) {
    AnswerSlow(MessageCodec::Incomplete(absl::StatusCode::kInternal, "the handler's reply",
                                        reply->message()),
               nullptr);
    return;
  }
  if (interception == nullptr && stream == nullptr) {
    Send(wish, reply);
  } else {
    AnswerSlow(wish, reply);
  }
}

void InboundCall::AnswerSlow(const absl::Status& wish, ReplyMessage* reply) {
  // An error of the stream goes before the handler's status.
  const absl::Status own = stream != nullptr && !refused_ ? StreamError() : absl::OkStatus();
  const absl::Status& status = own.ok() ? wish : own;
  if (interception == nullptr) {
    Send(status, reply);
  } else {
    const bool has_reply = status.ok() && reply != nullptr;
    Send(interception->End(*this, status,
                           has_reply ? static_cast<ptrdiff_t>(reply->size()) : ptrdiff_t{-1}),
         reply);
  }
}

void InboundCall::Send(const absl::Status& status, ReplyMessage* reply) {
  // Counts the call before its answer leaves: a caller that has its answer finds it counted.
  if (bound != nullptr) bound->stats->Add(status.code(), answered - received);
  if (stream != nullptr) stream->EndStream(/*drop=*/true);
  // Return comes last: afterwards the call may serve another request, on another thread.
  origin->SendAnswer(*this, status, status.ok() ? reply : nullptr,
                     serving.runner != nullptr && serving.runner->MoreSoon());
  if (serving.listener != nullptr) serving.listener->OnAnswered(*this);
  pool_.Return(*this);
}

std::shared_ptr<CallTarget> InboundCall::Caller() {
  const std::shared_ptr<CallLink> link = origin->Link();
  if (link == nullptr || pool_.callers() == nullptr) return nullptr;
  return std::shared_ptr<CallTarget>(link, origin->caller.Get(pool_.callers(), link));
}

}  // namespace weft::internal
