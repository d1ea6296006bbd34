// A streaming call as its caller holds it: reader, writer, or both.
//
//   weft::ClientReader<Row> rows = stub.List(request);        // the server streams
//   while (rows.Read(&row)) …
//   absl::Status s = rows.Finish();
//
//   weft::ClientWriter<Row, Sum> adding = stub.Add();         // the client streams
//   while (… && adding.Write(row)) …
//   absl::StatusOr<Sum> sum = adding.Finish();                // half-closes
//
//   weft::ClientStream<Ping, Pong> both = stub.Talk();        // both stream
//
// The call starts with the stub's method; writing waits for the connection. A stream that is
// destroyed before its end is cancelled. The timeout counts for the whole call; a call that is to
// stay gets {.timeout = absl::InfiniteDuration()}.
//
// Callbacks and coroutines go on by the rule of stream_sides.h, those of FinishAsync too: never
// inside a call, not even inside the destructor, which ends them with CANCELLED.
//
// Threads  one reader and one writer at a time, each any thread; Cancel: any. Read, Write, Finish
//          and WaitForInitialMetadata wait: not under a lock that a callback takes, and refused on
//          an I/O thread. Nothing else waits
// Owns     its share of the call
// Errors   Finish says how the call ended
// Ends     Finish, once; FinishCoro and FinishAsync likewise
#ifndef WEFT_RPC_CALL_CLIENT_STREAM_H_
#define WEFT_RPC_CALL_CLIENT_STREAM_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/client_stream_call.h"
#include "weft/rpc/call/stream_sides.h"

namespace weft {

namespace internal {

// The common part of all three: cancelling, also when its holder is destroyed.
class ClientStreamEnd {
 public:
  void Cancel() { call_->CancelFromHere(); }

  // Waits for the server's initial metadata; one at a time. True: it has come, and is in the
  // call's ClientContext. False: there is none; a message has come, or the call has ended. On an
  // I/O thread it is refused, as Read is.
  bool WaitForInitialMetadata() { return InitialMetadataHere(*call_); }
  // co_await it: bool.
  InitialMetadataAwaiter WaitForInitialMetadataCoro() { return InitialMetadataAwaiter(*call_); }
  void WaitForInitialMetadataAsync(StreamCallback done) {
    InitialMetadataLater(call_, std::move(done));
  }

 protected:
  explicit ClientStreamEnd(std::shared_ptr<ClientStreamCall> call) : call_(std::move(call)) {}
  ClientStreamEnd(ClientStreamEnd&& o) noexcept = default;
  ClientStreamEnd& operator=(ClientStreamEnd&& o) noexcept {
    std::swap(call_, o.call_);
    return *this;
  }
  ~ClientStreamEnd() {
    if (call_ != nullptr) call_->Abandon();
  }
  ClientStreamCall& call() { return *call_; }
  const std::shared_ptr<ClientStreamCall>& shared_call() const { return call_; }

 private:
  std::shared_ptr<ClientStreamCall> call_;
};

}  // namespace internal

template <typename Reply>
class [[nodiscard]] ClientReader : public internal::ClientStreamEnd, public StreamReadSide<Reply> {
 public:
  explicit ClientReader(std::shared_ptr<internal::ClientStreamCall> call)
      : internal::ClientStreamEnd(call), StreamReadSide<Reply>(call) {}

  // How the call ended; messages that were not read are dropped.
  absl::Status Finish() { return call().WaitForEnd(); }
  // co_await it: absl::Status.
  internal::EndAwaiter FinishCoro() { return internal::EndAwaiter(call()); }
  void FinishAsync(absl::AnyInvocable<void(absl::Status) &&> done) {
    call().TellEnd(std::move(done));
  }
};

template <typename Request, typename Reply>
class [[nodiscard]] ClientWriter : public internal::ClientStreamEnd,
                                   public StreamWriteSide<Request> {
 public:
  explicit ClientWriter(std::shared_ptr<internal::ClientStreamCall> call)
      : internal::ClientStreamEnd(call), StreamWriteSide<Request>(call) {}

  // Half-closes, if that was not done, and waits for the reply.
  absl::StatusOr<Reply> Finish() {
    HalfClose();
    return Result(call().WaitForEnd());
  }
  Coro<absl::StatusOr<Reply>> FinishCoro() {
    HalfClose();
    internal::EndAwaiter end(call());
    co_return Result(co_await end);
  }
  void FinishAsync(absl::AnyInvocable<void(absl::StatusOr<Reply>) &&> done) {
    HalfClose();
    const std::shared_ptr<internal::ClientStreamCall> c = shared_call();
    c->TellEnd([c, done = std::move(done)](absl::Status s) mutable {
      std::move(done)(ResultOf(*c, std::move(s)));
    });
  }
  // No more messages will come.
  void HalfClose() { this->port().HalfClose(); }

 private:
  static absl::StatusOr<Reply> ResultOf(internal::ClientStreamCall& call, absl::Status s) {
    if (!s.ok()) return s;
    return std::move(static_cast<Reply&>(*call.reply()));
  }
  absl::StatusOr<Reply> Result(absl::Status s) { return ResultOf(call(), std::move(s)); }
};

template <typename Request, typename Reply>
class [[nodiscard]] ClientStream : public internal::ClientStreamEnd,
                                   public StreamReadSide<Reply>,
                                   public StreamWriteSide<Request> {
 public:
  explicit ClientStream(std::shared_ptr<internal::ClientStreamCall> call)
      : internal::ClientStreamEnd(call),
        StreamReadSide<Reply>(call),
        StreamWriteSide<Request>(call) {}

  // No more messages will come from this side; reading goes on.
  void HalfClose() { this->port().HalfClose(); }
  // Half-closes, if that was not done, and waits for the end. Messages that were not read are
  // dropped.
  absl::Status Finish() {
    HalfClose();
    return call().WaitForEnd();
  }
  internal::EndAwaiter FinishCoro() {
    HalfClose();
    return internal::EndAwaiter(call());
  }
  void FinishAsync(absl::AnyInvocable<void(absl::Status) &&> done) {
    HalfClose();
    call().TellEnd(std::move(done));
  }
};

// Generated stubs call these.
template <typename Request, typename Reply>
ClientReader<Reply> CallStream(CallTarget& target,
                               const ServerStreamingMethod<Request, Reply>& method,
                               const Request& request, const CallOptions& options) {
  return ClientReader<Reply>(
      internal::ClientStreamCall::Launch(target, method, request, nullptr, options));
}
template <typename Request, typename Reply>
ClientWriter<Request, Reply> CallStream(CallTarget& target,
                                        const ClientStreamingMethod<Request, Reply>& method,
                                        const CallOptions& options) {
  return ClientWriter<Request, Reply>(internal::ClientStreamCall::Launch(
      target, method, Request::default_instance(), std::make_unique<Reply>(), options));
}
template <typename Request, typename Reply>
ClientStream<Request, Reply> CallStream(CallTarget& target,
                                        const BidirectionalMethod<Request, Reply>& method,
                                        const CallOptions& options) {
  return ClientStream<Request, Reply>(internal::ClientStreamCall::Launch(
      target, method, Request::default_instance(), nullptr, options));
}

}  // namespace weft

#endif  // WEFT_RPC_CALL_CLIENT_STREAM_H_
