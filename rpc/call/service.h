// A service as generated code describes it: a table of methods, each with a function that serves
// one call.
//
// The generated bases (`demo::Greeter::Service`, `AsyncService`, `CoroService`) derive from
// Service; a user derives from one of those and overrides its methods. BlockingMethod, AsyncMethod
// and CoroMethod make a table entry out of a member function. MixedService has no virtual methods:
// HandlerMethod makes its entries out of the user's own functions, and sees by their types of which
// style they are.
//
// Threads  handlers run on the worker pool, several at once, or on the I/O thread when the method
//          is inline
// Owns     nothing; the server refers to the service, which must outlive it
// Errors   a handler's Status is the call's; what it throws ends the call with UNKNOWN
// Ends     a service must live until the server has stopped
#ifndef WEFT_RPC_CALL_SERVICE_H_
#define WEFT_RPC_CALL_SERVICE_H_

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/coro.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/message_cache.h"
#include "weft/rpc/call/responder.h"
#include "weft/rpc/call/server_context.h"

namespace weft {

class Service;

// Serves one call of a method: parses, runs the handler, answers, now or later. May throw what the
// handler throws, as long as the call has not been answered.
struct ServiceMethod {
  const MethodInfo* info = nullptr;
  void (*serve)(Service& service, internal::InboundCall& call,
                internal::MessageCache& cache) = nullptr;
  // The handler waits for messages, so it never runs on an I/O thread.
  bool waits = false;
};

class Service {
 public:
  Service() = default;
  virtual ~Service() = default;
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  virtual std::string_view full_name() const = 0;
  virtual std::span<const ServiceMethod> methods() const = 0;
};

// Returns the answer of a method that the service has not overridden.
absl::Status UnimplementedMethod(const MethodInfo& method);

// Returns the answer of a call whose handler threw `error`.
absl::Status HandlerThrew(const MethodInfo& method, std::exception_ptr error);

namespace internal {

// A reply inside a message pair that the handler's trampoline holds.
template <typename Pair>
class PairReply final : public ReplyMessage {
 public:
  // The pair goes back to `cache` when its reply has been sent.
  PairReply(const MethodInfo& method, MessageCache& cache, size_t request_size,
            std::unique_ptr<Pair>& pair)
      : method_(&method), cache_(&cache), request_size_(request_size), pair_(pair) {}
  // The pair serves only this call.
  explicit PairReply(std::unique_ptr<Pair>& pair) : pair_(pair) {}
  const google::protobuf::MessageLite& message() const override { return pair_->reply; }
  std::shared_ptr<const void> Keep(size_t shared) override {
    if (cache_ == nullptr) return std::shared_ptr<const void>(std::move(pair_));
    return cache_->Share(*method_, std::move(pair_), request_size_ + size(), shared);
  }

 private:
  const MethodInfo* const method_ = nullptr;
  MessageCache* const cache_ = nullptr;
  const size_t request_size_ = 0;
  std::unique_ptr<Pair>& pair_;
};

// A reply inside a message pair that lives with its call.
template <typename Pair>
class OwnReply final : public ReplyMessage {
 public:
  explicit OwnReply(InboundCall& call) : call_(call) {}
  const google::protobuf::MessageLite& message() const override {
    return static_cast<Pair*>(call_.own_messages.get())->reply;
  }
  std::shared_ptr<const void> Keep(size_t) override {
    return std::shared_ptr<const void>(std::move(call_.own_messages));
  }

 private:
  InboundCall& call_;
};

// Runs a handler that was given the right to answer. An exception after the handler has answered,
// or has passed the right on, is harmless. A handler that destroys the right inside itself ends the
// call with `dropped`.
template <typename F>
void RunAsync(InboundCall& call, absl::Status (*dropped)(), F&& handler) {
  // The scope is shared, not borrowed from the call: the handler may still run after its answer,
  // when the call object may already serve another request.
  CallScope::Enter enter(call.Scope());
  HandlerScope scope(call);
  try {
    handler();
  } catch (...) {
    if (scope.left()) throw;
    return;  // it has answered, or passed its answer on
  }
  // The exception was caught inside the handler: the right to answer is gone, and nobody answers
  // now.
  if (scope.left()) call.Answer(dropped(), nullptr);
}

template <auto Handler>
struct ServeUnary;

template <typename S, typename Request, typename Reply,
          absl::Status (S::*Handler)(ServerContext&, Request&, Reply&)>
struct ServeUnary<Handler> {
  using Pair = MessagePair<Request, Reply>;

  static void Blocking(const MethodInfo& method, Service& service, InboundCall& call,
                       MessageCache& cache) {
    std::unique_ptr<Pair> pair = cache.Take<Pair>(method);
    const size_t request_size = call.request_size();
    if (!call.Parse(pair->request)) return;
    pair->reply.Clear();
    absl::Status status;
    {
      CallScope::Enter enter(call);
      status = (static_cast<S&>(service).*Handler)(call.context(), pair->request, pair->reply);
    }
    // Answer may hand the call to another thread at once, so nothing below touches `call`.
    PairReply<Pair> reply(method, cache, request_size, pair);
    call.Answer(status, &reply);
    // Keep has taken the pair when the reply's bytes are being sent by reference.
    if (pair == nullptr) return;
    const size_t bytes = request_size + (status.ok() ? reply.size() : 0);
    cache.Put(method, std::move(pair), bytes);
  }
};

template <typename S, typename Request, typename Reply,
          void (S::*Handler)(ServerContext&, Request&, Responder<Reply>)>
struct ServeUnary<Handler> {
  using Pair = MessagePair<Request, Reply>;

  static void Async(const MethodInfo&, Service& service, InboundCall& call, MessageCache&) {
    auto pair = std::make_unique<Pair>();
    Pair& messages = *pair;
    call.own_messages = std::move(pair);
    if (!call.Parse(messages.request)) return;
    // The messages live with the call, so the handler may use them until it answers, on any thread.
    Responder<Reply> responder(call, messages.reply,
                               [](InboundCall& c, const absl::Status& status) {
                                 OwnReply<Pair> reply(c);
                                 c.Answer(status, &reply);
                               });
    RunAsync(call, &Responder<Reply>::Dropped, [&] {
      (static_cast<S&>(service).*Handler)(call.context(), messages.request, std::move(responder));
    });
  }
};

template <typename S, typename Request, typename Reply,
          Coro<absl::Status> (S::*Handler)(ServerContext&, Request&, Reply&)>
struct ServeUnary<Handler> {
  using Pair = MessagePair<Request, Reply>;

  static void Coroutine(const MethodInfo& method, Service& service, InboundCall& call,
                        MessageCache&) {
    auto pair = std::make_unique<Pair>();
    Pair& messages = *pair;
    call.own_messages = std::move(pair);
    if (!call.Parse(messages.request)) return;
    CallScope::Enter enter(call.Scope());
    RunCoro((static_cast<S&>(service).*Handler)(call.context(), messages.request, messages.reply),
            [&call, &method](std::optional<absl::Status> status, std::exception_ptr error) {
              OwnReply<Pair> reply(call);
              call.Answer(error ? HandlerThrew(method, error) : *status, &reply);
            });
  }
};

}  // namespace internal

// Table entries. The method's constant must have static storage.
//   BlockingMethod  absl::Status M(ServerContext&, Request&, Reply&)
//   AsyncMethod     void M(ServerContext&, Request&, Responder<Reply>)
//   CoroMethod      Coro<absl::Status> M(ServerContext&, Request&, Reply&)
template <auto Handler, typename Request, typename Reply>
constexpr ServiceMethod BlockingMethod(const UnaryMethod<Request, Reply>& method) {
  return {
      &method, [](Service& service, internal::InboundCall& call, internal::MessageCache& cache) {
        internal::ServeUnary<Handler>::Blocking(*call.bound->method->info, service, call, cache);
      }};
}

template <auto Handler, typename Request, typename Reply>
constexpr ServiceMethod AsyncMethod(const UnaryMethod<Request, Reply>& method) {
  return {&method,
          [](Service& service, internal::InboundCall& call, internal::MessageCache& cache) {
            internal::ServeUnary<Handler>::Async(*call.bound->method->info, service, call, cache);
          }};
}

template <auto Handler, typename Request, typename Reply>
constexpr ServiceMethod CoroMethod(const UnaryMethod<Request, Reply>& method) {
  return {
      &method, [](Service& service, internal::InboundCall& call, internal::MessageCache& cache) {
        internal::ServeUnary<Handler>::Coroutine(*call.bound->method->info, service, call, cache);
      }};
}

namespace internal {

// The types of a method's handlers in class S.
template <typename S, typename Method>
struct HandlerForms;

template <typename S, typename Request, typename Reply>
struct HandlerForms<S, UnaryMethod<Request, Reply>> {
  using Blocking = absl::Status (S::*)(ServerContext&, Request&, Reply&);
  using Async = void (S::*)(ServerContext&, Request&, Responder<Reply>);
  using Coroutine = Coro<absl::Status> (S::*)(ServerContext&, Request&, Reply&);
};

// True for a member of S itself, false for one that S has from a base.
template <typename S, typename Function>
constexpr bool IsMemberOf(Function S::*) {
  return true;
}
template <typename S, typename Function>
constexpr bool IsMemberOf(Function) {
  return false;
}

}  // namespace internal

// The entry for a handler of class S in any style; the handler may be noexcept.
template <typename S, auto Handler, typename Method>
constexpr ServiceMethod HandlerMethod(const Method& method) {
  using Forms = internal::HandlerForms<S, Method>;
  static_assert(internal::IsMemberOf<S>(Handler),
                "a handler is a member of the class that MixedService is given, not of a base");
  if constexpr (std::is_convertible_v<decltype(Handler), typename Forms::Blocking>) {
    constexpr typename Forms::Blocking kHandler = Handler;
    return BlockingMethod<kHandler>(method);
  } else if constexpr (std::is_convertible_v<decltype(Handler), typename Forms::Async>) {
    constexpr typename Forms::Async kHandler = Handler;
    return AsyncMethod<kHandler>(method);
  } else {
    static_assert(std::is_convertible_v<decltype(Handler), typename Forms::Coroutine>,
                  "this function is no handler of its method: see what Service, AsyncService and "
                  "CoroService have for it");
    constexpr typename Forms::Coroutine kHandler = Handler;
    return CoroMethod<kHandler>(method);
  }
}

}  // namespace weft

#endif  // WEFT_RPC_CALL_SERVICE_H_
