// Streams that end in a test instead of a server: for mocks of stubs, whose streaming methods
// return what Open makes.
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
// What Open returns is what a stub of a channel returns, in all three styles, with its context,
// executor and cancelling; behind it is no connection, so no timeout runs and nothing is late.
// Callbacks and coroutines go on as those of a channel, on their executor or on an I/O thread that
// the open call has: never inside a call of the code under test, nor inside Push, End and SetRoom.
// WaitForCallbacks makes a test of theirs deterministic.
//
// Threads  any; what is set up before Open says so. OnWritten's function: the writer's thread,
//          inside its write, for it plays the server
// Owns     its script, which the open call keeps: a fake may be destroyed before it
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

namespace fake_internal {

// What all three have.
class FakeEnd {
 public:
  FakeEnd(const FakeEnd&) = delete;
  FakeEnd& operator=(const FakeEnd&) = delete;

  // The call ends so, as soon as what was pushed has been read. The first End counts.
  void End(absl::Status status) { call_->End(std::move(status)); }
  // Comes before the first message, in ClientContext::initial_metadata(). Before Open.
  void SetInitialMetadata(const Metadata& metadata) { call_->SetInitialMetadata(metadata); }
  // Come with the end, in ClientContext::trailers(). Before the end.
  void SetTrailers(const Metadata& trailers) { call_->SetTrailers(trailers); }

  // Returns when the callbacks and coroutines of the code under test that are due by now have run,
  // but for those with an executor.
  void WaitForCallbacks() { call_->WaitForCallbacks(); }

  bool opened() const { return call_->opened(); }
  // The code under test has cancelled the call, or dropped it, before its end.
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

// What the code under test has written.
template <typename Request>
struct Written {
  static FakeCall::OnMessage Recorder(std::shared_ptr<Written> to) {
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

// What fakes have whose caller writes.
template <typename Request>
class FakeWriteSide : public FakeEnd {
 public:
  // So far, in their order.
  std::vector<Request> written() const {
    MutexLock lock(written_->mu);
    return written_->messages;
  }
  // Beside each of them; empty where there was none.
  std::vector<absl::Cord> written_attachments() const {
    MutexLock lock(written_->mu);
    return written_->attachments;
  }
  bool half_closed() const { return call().half_closed(); }
  // Is called with each message that the code under test writes; may push, end and make room.
  // Before Open.
  void OnWritten(std::function<void(const Request&)> told) { written_->told = std::move(told); }
  // Flow control: so many messages more may be written before the call is not ready. At first
  // there is no limit.
  void SetRoom(size_t messages) { call().SetRoom(messages); }
  // The call ends with `error` behind so many messages that were written; with 0, as it opens.
  void FailAfter(size_t messages, absl::Status error) {
    call().FailAfter(messages, std::move(error));
  }

 protected:
  FakeWriteSide() : FakeWriteSide(std::make_shared<Written<Request>>()) {}
  ~FakeWriteSide() = default;

 private:
  explicit FakeWriteSide(const std::shared_ptr<Written<Request>>& written)
      : FakeEnd(Written<Request>::Recorder(written)), written_(written) {}

  const std::shared_ptr<Written<Request>> written_;
};

inline constexpr MethodInfo kRead{"weft.Fake", "Read", "weft.Fake/Read",
                                  MethodKind::kServerStreaming};
inline constexpr MethodInfo kWrite{"weft.Fake", "Write", "weft.Fake/Write",
                                   MethodKind::kClientStreaming};
inline constexpr MethodInfo kTalk{"weft.Fake", "Talk", "weft.Fake/Talk",
                                  MethodKind::kBidirectional};

}  // namespace fake_internal

// The server streams.
template <typename Reply>
class FakeReader : public fake_internal::FakeEnd {
 public:
  // Messages and end come from Push and End.
  FakeReader() : FakeEnd(nullptr) {}
  explicit FakeReader(const std::vector<Reply>& messages, absl::Status end = absl::OkStatus())
      : FakeReader() {
    for (const Reply& message : messages) Push(message);
    End(std::move(end));
  }

  ClientReader<Reply> Open(const CallOptions& options = {}) {
    return ClientReader<Reply>(ClientStreamCall::Launch(
        call(), fake_internal::kRead, Reply::default_instance(), nullptr, options));
  }
  // One more to be read, and what comes beside it. Nothing after End.
  void Push(const Reply& message, const absl::Cord& attachment = {}) {
    call().Push(message, attachment);
  }
};

// The client streams.
template <typename Request, typename Reply>
class FakeWriter : public fake_internal::FakeWriteSide<Request> {
 public:
  // The call's end, once the code under test has half-closed, as Finish does.
  explicit FakeWriter(const absl::StatusOr<Reply>& result) {
    if (result.ok()) this->call().SetReply(*result);
    this->call().EndAtHalfClose(result.status());
  }

  ClientWriter<Request, Reply> Open(const CallOptions& options = {}) {
    return ClientWriter<Request, Reply>(
        ClientStreamCall::Launch(this->call(), fake_internal::kWrite, Request::default_instance(),
                                 std::make_unique<Reply>(), options));
  }
};

// Both stream.
template <typename Request, typename Reply>
class FakeStream : public fake_internal::FakeWriteSide<Request> {
 public:
  // `messages` may be read at once. `end`: when the code under test has half-closed and read all;
  // End makes it come earlier.
  explicit FakeStream(const std::vector<Reply>& messages = {},
                      absl::Status end = absl::OkStatus()) {
    for (const Reply& message : messages) Push(message);
    this->call().EndAtHalfClose(std::move(end));
  }

  ClientStream<Request, Reply> Open(const CallOptions& options = {}) {
    return ClientStream<Request, Reply>(ClientStreamCall::Launch(
        this->call(), fake_internal::kTalk, Request::default_instance(), nullptr, options));
  }
  // One more to be read, and what comes beside it. Nothing after End.
  void Push(const Reply& message, const absl::Cord& attachment = {}) {
    this->call().Push(message, attachment);
  }
};

}  // namespace weft

#endif  // WEFT_RPC_TESTING_FAKE_STREAMS_H_
