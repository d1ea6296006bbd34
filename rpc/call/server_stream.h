// A streaming call as its handler holds it.
//
//   absl::Status Add(ServerContext&, ServerReader<Row>& rows, Sum& sum);       // client streams
//   absl::Status List(ServerContext&, Query& query, ServerWriter<Row>& rows);  // server streams
//   absl::Status Talk(ServerContext&, ServerStream<Ping, Pong>& stream);       // both stream
//
// for handlers that block or are coroutines: what they return ends the call. Handlers that answer
// later get one that can: AsyncServerReader<Row, Sum>, AsyncServerWriter<Row>,
// AsyncServerStream<Ping, Pong>.
//
// Callbacks of the Async ones run on the call's I/O thread, never inside a call, be it Finish, and
// so never under a lock held around one (stream_sides.h).
//
// Threads  one reader and one writer at a time, each any thread. Read and Write wait; see
//          stream_sides.h
// Owns     its share of the stream; the Async ones also the answer
// Errors   Read and Write say false when the caller is gone: it has cancelled, its deadline has
//          passed, its connection is lost, the server stops. The handler's status then goes to
//          those that still hear of the call
// Ends     with the handler's return; the Async ones by Finish, once, or, destroyed without it,
//          with INTERNAL
#ifndef WEFT_RPC_CALL_SERVER_STREAM_H_
#define WEFT_RPC_CALL_SERVER_STREAM_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/responder.h"
#include "weft/rpc/call/server_context.h"
#include "weft/rpc/call/stream_sides.h"

namespace weft {

template <typename Request>
class ServerReader : public StreamReadSide<Request> {
 public:
  explicit ServerReader(std::shared_ptr<internal::StreamPort> port)
      : StreamReadSide<Request>(std::move(port)) {}
};

template <typename Reply>
class ServerWriter : public StreamWriteSide<Reply> {
 public:
  explicit ServerWriter(std::shared_ptr<internal::StreamPort> port)
      : StreamWriteSide<Reply>(std::move(port)) {}
};

template <typename Request, typename Reply>
class ServerStream : public StreamReadSide<Request>, public StreamWriteSide<Reply> {
 public:
  explicit ServerStream(std::shared_ptr<internal::StreamPort> port)
      : StreamReadSide<Request>(port), StreamWriteSide<Reply>(port) {}
};

namespace internal {

// The answer of a stream whose messages are its replies.
class StreamAnswer {
 public:
  explicit StreamAnswer(InboundCall& call) : call_(&call) {}
  StreamAnswer(StreamAnswer&& o) noexcept : call_(std::exchange(o.call_, nullptr)) {}
  StreamAnswer& operator=(StreamAnswer&& o) noexcept {
    std::swap(call_, o.call_);
    return *this;
  }
  ~StreamAnswer() {
    if (call_ == nullptr || HandlerScope::Leave(*call_)) return;
    Finish(Dropped());
  }

  ServerContext& context() { return call_->context(); }
  bool finished() const { return call_ == nullptr; }
  static absl::Status Dropped() {
    return absl::InternalError("the handler dropped its stream without an answer");
  }

  void Finish(const absl::Status& status = absl::OkStatus()) {
    WEFT_DCHECK(call_ != nullptr);
    if (InboundCall* call = std::exchange(call_, nullptr)) call->Answer(status, nullptr);
  }

 private:
  InboundCall* call_;
};

}  // namespace internal

template <typename Request, typename Reply>
class AsyncServerReader : public StreamReadSide<Request>, public Responder<Reply> {
 public:
  AsyncServerReader(std::shared_ptr<internal::StreamPort> port, Responder<Reply> responder)
      : StreamReadSide<Request>(std::move(port)), Responder<Reply>(std::move(responder)) {}
};

template <typename Reply>
class AsyncServerWriter : public StreamWriteSide<Reply>, public internal::StreamAnswer {
 public:
  AsyncServerWriter(std::shared_ptr<internal::StreamPort> port, internal::InboundCall& call)
      : StreamWriteSide<Reply>(std::move(port)), internal::StreamAnswer(call) {}
};

template <typename Request, typename Reply>
class AsyncServerStream : public StreamReadSide<Request>,
                          public StreamWriteSide<Reply>,
                          public internal::StreamAnswer {
 public:
  AsyncServerStream(std::shared_ptr<internal::StreamPort> port, internal::InboundCall& call)
      : StreamReadSide<Request>(port), StreamWriteSide<Reply>(port), internal::StreamAnswer(call) {}
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_SERVER_STREAM_H_
