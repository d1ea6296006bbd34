// Streams whose other end is a test and not a server. Mocked streaming methods of stubs return what
// Open makes.
//
//   weft::FakeReader<Row> rows({first, second}, absl::UnavailableError("gone"));
//   EXPECT_CALL(stub, List).WillOnce([&](const Query&, const weft::CallOptions& options) {
//     return rows.Open(options);
//   });
//   … EXPECT_TRUE(rows.cancelled());           // the code under test dropped it, or cancelled
//
//   weft::FakeWriter<Row, Sum> adding(sum);    // what Finish gives: a reply, or an error
//   adding.SetRoom(1);                         // flow control: one message, then it is not ready
//   … EXPECT_THAT(adding.written(), …);
//
//   weft::FakeStream<Ping, Pong> talk;         // ends OK when the code has half-closed
//   talk.OnWritten([&](const Ping& ping) { talk.Push(Answer(ping)); });
//
// Open returns the same type as a channel's stub, with all three styles, its context, executor and
// cancelling. There is no connection behind it, so no timeout runs. Callbacks and coroutines run as
// those of a channel, on their executor or on an I/O thread of the open call: never inside a call
// of the code under test, nor inside Push, End and SetRoom. WaitForCallbacks makes tests with them
// deterministic.
//
// Threads  any; what is set up before Open says so. OnWritten's function: the writer's thread,
//          inside its write, for it plays the server
// Owns     its script, shared with the open call: the fake may be destroyed before the call ends
// Errors   FAILED_PRECONDITION ends a second call: one fake, one call
#ifndef WEFT_RPC_TESTING_FAKE_STREAMS_H_
#define WEFT_RPC_TESTING_FAKE_STREAMS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "weft/core/mutex.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/call_options.h"
#include "weft/rpc/call/client_stream.h"
#include "weft/rpc/testing/fake_call.h"

namespace weft {

namespace internal {

// Base of all three fakes.
class FakeEnd {
 public:
  FakeEnd(const FakeEnd&) = delete;
  FakeEnd& operator=(const FakeEnd&) = delete;

  // Ends the call with `status` once all pushed messages have been read. The first End counts.
  void End(absl::Status status) { call_->End(std::move(status)); }
  // Initial metadata, for ClientContext::initial_metadata(). Set it before Open.
  void SetInitialMetadata(const Metadata& metadata) { call_->SetInitialMetadata(metadata); }
  // Trailers, for ClientContext::trailers(). Set them before the end.
  void SetTrailers(const Metadata& trailers) { call_->SetTrailers(trailers); }

  // Waits until callbacks and coroutines of the code under test that are due now have run, except
  // those with an executor.
  void WaitForCallbacks() { call_->WaitForCallbacks(); }

  bool opened() const { return call_->opened(); }
  // True if the code under test cancelled or dropped the call before its end.
  bool cancelled() const { return call_->cancelled(); }
  bool ended() const { return call_->ended(); }

 protected:
  explicit FakeEnd(FakeCall::OnMessage on_message)
      : call_(std::make_shared<FakeCall>(std::move(on_message))) {}
  ~FakeEnd() = default;
  FakeCall& call() const { return *call_; }

 private:
  const std::shared_ptr<FakeCall> call_;
};

// Messages written by the code under test.
template <typename Request>
struct FakeWritten {
  static FakeCall::OnMessage Recorder(std::shared_ptr<FakeWritten> to) {
    return [to = std::move(to)](const google::protobuf::MessageLite& message,
                                const absl::Cord& attachment) {
      const auto& request = static_cast<const Request&>(message);
      {
        MutexLock lock(to->mu);
        to->messages.push_back(request);
        to->attachments.push_back(attachment);
      }
      if (to->told) to->told(request);
    };
  }

  std::function<void(const Request&)> told;  // fixed when the call begins
  Mutex mu;
  std::vector<Request> messages WEFT_GUARDED_BY(mu);
  std::vector<absl::Cord> attachments WEFT_GUARDED_BY(mu);
};

// Base of the fakes whose caller writes.
template <typename Request>
class FakeWriteSide : public FakeEnd {
 public:
  // The messages so far, in order.
  std::vector<Request> written() const {
    MutexLock lock(written_->mu);
    return written_->messages;
  }
  // Their attachments; empty: none.
  std::vector<absl::Cord> written_attachments() const {
    MutexLock lock(written_->mu);
    return written_->attachments;
  }
  bool half_closed() const { return call().half_closed(); }
  // Sets a function that is called with each message that the code under test writes. It may push,
  // end and make room. Set it before Open.
  void OnWritten(std::function<void(const Request&)> told) { written_->told = std::move(told); }
  // Flow control: lets so many more messages be written before the call is not ready. No limit at
  // first.
  void SetRoom(size_t messages) { call().SetRoom(messages); }
  // Ends the call with `error` after so many written messages; with 0, as it opens.
  void FailAfter(size_t messages, absl::Status error) {
    call().FailAfter(messages, std::move(error));
  }

 protected:
  FakeWriteSide() : FakeWriteSide(std::make_shared<FakeWritten<Request>>()) {}
  ~FakeWriteSide() = default;

 private:
  explicit FakeWriteSide(const std::shared_ptr<FakeWritten<Request>>& written)
      : FakeEnd(FakeWritten<Request>::Recorder(written)), written_(written) {}

  const std::shared_ptr<FakeWritten<Request>> written_;
};

inline constexpr MethodInfo kFakeRead{"weft.Fake", "Read", "weft.Fake/Read",
                                      MethodKind::kServerStreaming};
inline constexpr MethodInfo kFakeWrite{"weft.Fake", "Write", "weft.Fake/Write",
                                       MethodKind::kClientStreaming};
inline constexpr MethodInfo kFakeTalk{"weft.Fake", "Talk", "weft.Fake/Talk",
                                      MethodKind::kBidirectional};

}  // namespace internal

// A stream from the server.
template <typename Reply>
class FakeReader : public internal::FakeEnd {
 public:
  // Messages and end come from Push and End.
  FakeReader() : internal::FakeEnd(nullptr) {}
  explicit FakeReader(const std::vector<Reply>& messages, absl::Status end = absl::OkStatus())
      : FakeReader() {
    for (const Reply& message : messages) Push(message);
    End(std::move(end));
  }

  ClientReader<Reply> Open(const CallOptions& options = {}) {
    return ClientReader<Reply>(internal::ClientStreamCall::Launch(
        call(), internal::kFakeRead, Reply::default_instance(), nullptr, options));
  }
  // Adds a message to read, and its attachment. Ignored after End.
  void Push(const Reply& message, const absl::Cord& attachment = {}) {
    call().Push(message, attachment);
  }
};

// A stream from the client.
template <typename Request, typename Reply>
class FakeWriter : public internal::FakeWriteSide<Request> {
 public:
  // `result`: the call's end after the code under test has half-closed, as Finish does.
  explicit FakeWriter(const absl::StatusOr<Reply>& result) {
    if (result.ok()) this->call().SetReply(*result);
    this->call().EndAtHalfClose(result.status());
  }

  ClientWriter<Request, Reply> Open(const CallOptions& options = {}) {
    return ClientWriter<Request, Reply>(internal::ClientStreamCall::Launch(
        this->call(), internal::kFakeWrite, Request::default_instance(), std::make_unique<Reply>(),
        options));
  }
};

// Streams in both directions.
template <typename Request, typename Reply>
class FakeStream : public internal::FakeWriteSide<Request> {
 public:
  // `messages` can be read at once. `end` comes when the code under test has half-closed and read
  // all; End makes it come earlier.
  explicit FakeStream(const std::vector<Reply>& messages = {},
                      absl::Status end = absl::OkStatus()) {
    for (const Reply& message : messages) Push(message);
    this->call().EndAtHalfClose(std::move(end));
  }

  ClientStream<Request, Reply> Open(const CallOptions& options = {}) {
    return ClientStream<Request, Reply>(internal::ClientStreamCall::Launch(
        this->call(), internal::kFakeTalk, Request::default_instance(), nullptr, options));
  }
  // Adds a message to read, and its attachment. Ignored after End.
  void Push(const Reply& message, const absl::Cord& attachment = {}) {
    this->call().Push(message, attachment);
  }
};

}  // namespace weft

#endif  // WEFT_RPC_TESTING_FAKE_STREAMS_H_
