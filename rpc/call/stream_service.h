// Table entries for methods that stream, out of a service's member functions; as service.h has them
// for unary ones, under the same names.
//
// Threads  handlers that block run on the worker pool, even where the server runs others inline
// Errors   as in service.h
#ifndef WEFT_RPC_CALL_STREAM_SERVICE_H_
#define WEFT_RPC_CALL_STREAM_SERVICE_H_

#include <memory>
#include <optional>
#include <utility>

#include "weft/rpc/call/server_stream.h"
#include "weft/rpc/call/service.h"

namespace weft {

namespace internal {

// The objects that a streaming method's trampoline keeps beside the call, for handlers that go on
// later.
template <typename Request, typename Stream>
struct StreamFrame final : MessagePairBase {
  explicit StreamFrame(std::shared_ptr<StreamPort> port) : stream(std::move(port)) {}
  Request request;
  Stream stream;
};

// Answers a call that has its replies in the stream.
inline void AnswerStream(InboundCall& call, const absl::Status& status) {
  call.Answer(status, nullptr);
}

// ---- the client streams

template <auto Handler>
struct ServeClientStream;

template <typename S, typename Request, typename Reply,
          absl::Status (S::*Handler)(ServerContext&, ServerReader<Request>&, Reply&)>
struct ServeClientStream<Handler> {
  using Pair = MessagePair<Request, Reply>;

  static void Blocking(const MethodInfo&, Service& service, InboundCall& call, MessageCache&) {
    auto pair = std::make_unique<Pair>();
    ServerReader<Request> reader(call.stream);
    absl::Status status;
    {
      // Borrowed from the call, which lives until Answer below: a handler that makes no calls never
      // has a scope.
      CallScope::Enter enter(call);
      status = (static_cast<S&>(service).*Handler)(call.context(), reader, pair->reply);
    }
    PairReply<Pair> reply(pair);
    call.Answer(status, &reply);
  }
};

template <typename S, typename Request, typename Reply,
          Coro<absl::Status> (S::*Handler)(ServerContext&, ServerReader<Request>&, Reply&)>
struct ServeClientStream<Handler> {
  struct Frame final : MessagePairBase {
    explicit Frame(std::shared_ptr<StreamPort> port) : reader(std::move(port)) {}
    ServerReader<Request> reader;
    Reply reply;
  };

  static void Coroutine(const MethodInfo& method, Service& service, InboundCall& call,
                        MessageCache&) {
    auto frame = std::make_unique<Frame>(call.stream);
    Frame& f = *frame;
    // The frame lives with the call, which ends with the answer: the coroutine goes on when this
    // function has returned.
    call.own_messages = std::move(frame);
    // Shared, not borrowed as in Blocking: the coroutine goes on when this function has returned,
    // and may answer inside Run.
    CallScope::Enter enter(call.Scope());
    RunCoro((static_cast<S&>(service).*Handler)(call.context(), f.reader, f.reply),
            [&call, &method](std::optional<absl::Status> status, std::exception_ptr error) {
              OwnReply<Frame> reply(call);
              call.Answer(error ? HandlerThrew(method, error) : *status, &reply);
            });
  }
};

template <typename S, typename Request, typename Reply,
          void (S::*Handler)(ServerContext&, AsyncServerReader<Request, Reply>)>
struct ServeClientStream<Handler> {
  using Pair = MessagePair<Request, Reply>;

  static void Async(const MethodInfo&, Service& service, InboundCall& call, MessageCache&) {
    auto pair = std::make_unique<Pair>();
    Pair& messages = *pair;
    call.own_messages = std::move(pair);
    AsyncServerReader<Request, Reply> reader(
        call.stream,
        Responder<Reply>(call, messages.reply, [](InboundCall& c, const absl::Status& status) {
          OwnReply<Pair> reply(c);
          c.Answer(status, &reply);
        }));
    RunAsync(call, &StreamAnswer::Dropped,
             [&] { (static_cast<S&>(service).*Handler)(call.context(), std::move(reader)); });
  }
};

// ---- the server streams

template <auto Handler>
struct ServeServerStream;

template <typename S, typename Request, typename Reply,
          absl::Status (S::*Handler)(ServerContext&, Request&, ServerWriter<Reply>&)>
struct ServeServerStream<Handler> {
  static void Blocking(const MethodInfo&, Service& service, InboundCall& call, MessageCache&) {
    Request request;
    if (!call.Parse(request)) return;
    ServerWriter<Reply> writer(call.stream);
    absl::Status status;
    {
      CallScope::Enter enter(call);
      status = (static_cast<S&>(service).*Handler)(call.context(), request, writer);
    }
    AnswerStream(call, status);
  }
};

template <typename S, typename Request, typename Reply,
          Coro<absl::Status> (S::*Handler)(ServerContext&, Request&, ServerWriter<Reply>&)>
struct ServeServerStream<Handler> {
  using Frame = StreamFrame<Request, ServerWriter<Reply>>;

  static void Coroutine(const MethodInfo& method, Service& service, InboundCall& call,
                        MessageCache&) {
    auto frame = std::make_unique<Frame>(call.stream);
    Frame& f = *frame;
    call.own_messages = std::move(frame);
    if (!call.Parse(f.request)) return;
    CallScope::Enter enter(call.Scope());
    RunCoro((static_cast<S&>(service).*Handler)(call.context(), f.request, f.stream),
            [&call, &method](std::optional<absl::Status> status, std::exception_ptr error) {
              AnswerStream(call, error ? HandlerThrew(method, error) : *status);
            });
  }
};

template <typename S, typename Request, typename Reply,
          void (S::*Handler)(ServerContext&, Request&, AsyncServerWriter<Reply>)>
struct ServeServerStream<Handler> {
  using Frame = MessagePair<Request, Reply>;

  static void Async(const MethodInfo&, Service& service, InboundCall& call, MessageCache&) {
    auto pair = std::make_unique<Frame>();
    Request& request = pair->request;
    call.own_messages = std::move(pair);
    if (!call.Parse(request)) return;
    AsyncServerWriter<Reply> writer(call.stream, call);
    RunAsync(call, &StreamAnswer::Dropped, [&] {
      (static_cast<S&>(service).*Handler)(call.context(), request, std::move(writer));
    });
  }
};

// ---- both stream

template <auto Handler>
struct ServeBothStreams;

template <typename S, typename Request, typename Reply,
          absl::Status (S::*Handler)(ServerContext&, ServerStream<Request, Reply>&)>
struct ServeBothStreams<Handler> {
  static void Blocking(const MethodInfo&, Service& service, InboundCall& call, MessageCache&) {
    ServerStream<Request, Reply> stream(call.stream);
    absl::Status status;
    {
      CallScope::Enter enter(call);
      status = (static_cast<S&>(service).*Handler)(call.context(), stream);
    }
    AnswerStream(call, status);
  }
};

template <typename S, typename Request, typename Reply,
          Coro<absl::Status> (S::*Handler)(ServerContext&, ServerStream<Request, Reply>&)>
struct ServeBothStreams<Handler> {
  struct Frame final : MessagePairBase {
    explicit Frame(std::shared_ptr<StreamPort> port) : stream(std::move(port)) {}
    ServerStream<Request, Reply> stream;
  };

  static void Coroutine(const MethodInfo& method, Service& service, InboundCall& call,
                        MessageCache&) {
    auto frame = std::make_unique<Frame>(call.stream);
    Frame& f = *frame;
    call.own_messages = std::move(frame);
    CallScope::Enter enter(call.Scope());
    RunCoro((static_cast<S&>(service).*Handler)(call.context(), f.stream),
            [&call, &method](std::optional<absl::Status> status, std::exception_ptr error) {
              AnswerStream(call, error ? HandlerThrew(method, error) : *status);
            });
  }
};

template <typename S, typename Request, typename Reply,
          void (S::*Handler)(ServerContext&, AsyncServerStream<Request, Reply>)>
struct ServeBothStreams<Handler> {
  static void Async(const MethodInfo&, Service& service, InboundCall& call, MessageCache&) {
    AsyncServerStream<Request, Reply> stream(call.stream, call);
    RunAsync(call, &StreamAnswer::Dropped,
             [&] { (static_cast<S&>(service).*Handler)(call.context(), std::move(stream)); });
  }
};

// ---- The types of handlers, for HandlerMethod

template <typename S, typename Request, typename Reply>
struct HandlerForms<S, ClientStreamingMethod<Request, Reply>> {
  using Blocking = absl::Status (S::*)(ServerContext&, ServerReader<Request>&, Reply&);
  using Async = void (S::*)(ServerContext&, AsyncServerReader<Request, Reply>);
  using Coroutine = Coro<absl::Status> (S::*)(ServerContext&, ServerReader<Request>&, Reply&);
};

template <typename S, typename Request, typename Reply>
struct HandlerForms<S, ServerStreamingMethod<Request, Reply>> {
  using Blocking = absl::Status (S::*)(ServerContext&, Request&, ServerWriter<Reply>&);
  using Async = void (S::*)(ServerContext&, Request&, AsyncServerWriter<Reply>);
  using Coroutine = Coro<absl::Status> (S::*)(ServerContext&, Request&, ServerWriter<Reply>&);
};

template <typename S, typename Request, typename Reply>
struct HandlerForms<S, BidirectionalMethod<Request, Reply>> {
  using Blocking = absl::Status (S::*)(ServerContext&, ServerStream<Request, Reply>&);
  using Async = void (S::*)(ServerContext&, AsyncServerStream<Request, Reply>);
  using Coroutine = Coro<absl::Status> (S::*)(ServerContext&, ServerStream<Request, Reply>&);
};

}  // namespace internal

#define WEFT_STREAM_METHOD_ENTRIES(Kind, Serving)                                                 \
  template <auto Handler, typename Request, typename Reply>                                       \
  constexpr ServiceMethod BlockingMethod(const Kind<Request, Reply>& method) {                    \
    return {&method,                                                                              \
            [](Service& service, internal::InboundCall& call, internal::MessageCache& cache) {    \
              internal::Serving<Handler>::Blocking(*call.bound->method->info, service, call,      \
                                                   cache);                                        \
            },                                                                                    \
            /*waits=*/true};                                                                      \
  }                                                                                               \
  template <auto Handler, typename Request, typename Reply>                                       \
  constexpr ServiceMethod AsyncMethod(const Kind<Request, Reply>& method) {                       \
    return {&method,                                                                              \
            [](Service& service, internal::InboundCall& call, internal::MessageCache& cache) {    \
              internal::Serving<Handler>::Async(*call.bound->method->info, service, call, cache); \
            }};                                                                                   \
  }                                                                                               \
  template <auto Handler, typename Request, typename Reply>                                       \
  constexpr ServiceMethod CoroMethod(const Kind<Request, Reply>& method) {                        \
    return {&method,                                                                              \
            [](Service& service, internal::InboundCall& call, internal::MessageCache& cache) {    \
              internal::Serving<Handler>::Coroutine(*call.bound->method->info, service, call,     \
                                                    cache);                                       \
            }};                                                                                   \
  }
// Each kind gets its three functions under the names that unary methods have, so that generated
// code need not tell the kinds apart.
WEFT_STREAM_METHOD_ENTRIES(ClientStreamingMethod, ServeClientStream)
WEFT_STREAM_METHOD_ENTRIES(ServerStreamingMethod, ServeServerStream)
WEFT_STREAM_METHOD_ENTRIES(BidirectionalMethod, ServeBothStreams)
#undef WEFT_STREAM_METHOD_ENTRIES

}  // namespace weft

#endif  // WEFT_RPC_CALL_STREAM_SERVICE_H_
