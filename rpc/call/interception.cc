#include "weft/rpc/call/interception.h"

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft::internal {
namespace {

// Returns the result of `hook`, or an error when it throws.
template <typename Hook>
absl::Status Guarded(const char* side, Hook hook) {
  // On a loop, callbacks that the hook registers run after it, not inside it.
  const CallbackQueue::Scope scope(CallbackQueue::Here());
  const CallbackQueue::Elsewhere inside;
  try {
    return hook();
  } catch (const std::exception& e) {
    return absl::UnknownError(absl::StrCat("an interceptor of the ", side, " threw: ", e.what()));
  } catch (...) {
    return absl::UnknownError(
        absl::StrCat("an interceptor of the ", side, " threw something that is no std::exception"));
  }
}

}  // namespace

template <typename Interceptor, typename Start, typename End>
absl::Status InterceptorHooks<Interceptor, Start, End>::RunStart(
    const std::vector<std::shared_ptr<Interceptor>>& interceptors, const Start& start) {
  // The mutex is held over the hooks, so the hooks of one call never overlap. If a hook refuses the
  // call, those that started before it stay in calls_, and the call's end runs their OnEnd.
  MutexLock lock(mu_);
  for (const std::shared_ptr<Interceptor>& interceptor : interceptors) {
    absl::Status s = Guarded(side_, [&] {
      mu_.AssumeHeld();
      absl::StatusOr<std::unique_ptr<typename Interceptor::Call>> call = interceptor->Start(start);
      if (!call.ok()) return call.status();
      if (*call != nullptr) calls_.push_back(*std::move(call));
      return absl::OkStatus();
    });
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

template <typename Interceptor, typename Start, typename End>
absl::Status InterceptorHooks<Interceptor, Start, End>::RunMessage(MessageDirection direction,
                                                                   size_t bytes) {
  MutexLock lock(mu_);
  const bool sent = direction == MessageDirection::kSent;
  ++(sent ? volume_.sent_messages : volume_.received_messages);
  (sent ? volume_.sent_bytes : volume_.received_bytes) += bytes;
  // After the end calls_ is empty: messages that still come are nobody's.
  for (const auto& call : calls_) {
    absl::Status s = Guarded(side_, [&] { return call->OnMessage(direction, bytes); });
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

template <typename Interceptor, typename Start, typename End>
void InterceptorHooks<Interceptor, Start, End>::RunEnd(End& end) {
  MutexLock lock(mu_);
  end.volume = volume_;
  // In reverse order, and each hook object goes right after its end: a hook may rely on the ones
  // that started before it.
  while (!calls_.empty()) {
    absl::Status s = Guarded(side_, [&] {
      mu_.AssumeHeld();
      calls_.back()->OnEnd(end);
      return absl::OkStatus();
    });
    if (end.status.ok()) end.status = std::move(s);
    calls_.pop_back();
  }
}

template class InterceptorHooks<ClientInterceptor, ClientCallStart, ClientCallEnd>;
template class InterceptorHooks<ServerInterceptor, ServerCallStart, ServerCallEnd>;

absl::Status ClientInterception::Start(const ClientInterceptors& interceptors, OutboundCall& call,
                                       std::string_view target, const Clock& clock) {
  call.MakePlan().interception = std::make_unique<ClientInterception>();
  ClientInterception& self = *call.plan().interception;
  self.clock_ = &clock;
  if (call.options.context != nullptr) self.metadata_ = call.options.context->metadata();
  const ClientCallStart start{call.method.full_name, target,
                              call.plan().deadline == kNever
                                  ? absl::InfiniteDuration()
                                  : ToAbsl(call.plan().deadline - call.plan().started),
                              self.metadata_};
  if (absl::Status s = self.hooks_.RunStart(interceptors, start); !s.ok()) return s;
  return self.OnMessage(MessageDirection::kSent, call.request.Size());
}

CallEnd ClientInterception::End(const OutboundCall& call, const CallEnd& end) {
  CallEnd seen = end;
  if (seen.status.ok() && end.reply != nullptr) {
    seen.status = OnMessage(MessageDirection::kReceived, end.reply_size);
  }
  Metadata trailers;
  (void)trailers.ReadFrom(end.trailers);  // up to damaged bytes, as for the caller
  ClientCallEnd told{seen.status,
                     trailers,
                     ToAbsl(clock_->Now() - call.plan().started),
                     ToAbsl(end.handler_time),
                     end.may_have_been_executed,
                     {}};
  hooks_.RunEnd(told);
  seen.status = std::move(told.status);
  if (!seen.status.ok() && end.status.ok()) {  // the interceptor's error does not name the call
    seen.status = Annotate(seen.status, absl::StrCat("call ", std::string(call.method.full_name)));
  }
  return seen;
}

absl::Status ServerInterception::Start(const ServerInterceptors& interceptors, InboundCall& call,
                                       const char* side) {
  call.interception = std::make_unique<ServerInterception>(side);
  ServerInterception& self = *call.interception;
  const ServerCallStart start{call.context(), call.metadata()};
  absl::Status s = self.hooks_.RunStart(interceptors, start);
  self.began_ = call.clock->Now();
  return s;
}

absl::Status ServerInterception::End(InboundCall& call, const absl::Status& status,
                                     ptrdiff_t reply_bytes) {
  ServerCallEnd told{status,
                     call.trailers(),
                     ToAbsl(call.answered - call.received),
                     ToAbsl(call.answered - began_),
                     {}};
  if (told.status.ok() && reply_bytes >= 0) {
    told.status = OnMessage(MessageDirection::kSent, static_cast<size_t>(reply_bytes));
  }
  hooks_.RunEnd(told);
  return std::move(told.status);
}

}  // namespace weft::internal
