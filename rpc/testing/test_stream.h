// The caller's side of a stream, for a test that calls the handler of a streaming method itself.
// Used beside a TestCall.
//
//   weft::TestStream<Row, Sum> rows(call);   // of the method's messages
//   rows.Push(first);
//   rows.HalfClose();
//   absl::Status status = table.Add(call.context(), rows.reader(), sum);
//
//   weft::TestStream<Query, Row> found(call);
//   absl::Status status = table.List(call.context(), query, found.writer());
//   EXPECT_EQ(found.written().size(), 3);
//
// stream() is for both directions; async_reader, async_writer and async_stream are for handlers
// that answer later. Nothing passes between threads: a coroutine or callback of the handler
// continues inside the Push, HalfClose, SetRoom or Cancel that it waited for, unless it has an
// executor. A blocking handler must be given all its input before it is called.
//
// Threads  any; Push: one at a time. OnWritten's function: the handler's, inside its write
// Owns     the written messages
// Ends     the call's answer or Cancel ends the stream; the TestCall must outlive the handler
#ifndef WEFT_RPC_TESTING_TEST_STREAM_H_
#define WEFT_RPC_TESTING_TEST_STREAM_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "weft/core/mutex.h"
#include "weft/rpc/call/server_stream.h"
#include "weft/rpc/testing/test_call.h"
#include "weft/rpc/testing/test_stream_end.h"

namespace weft {

template <typename Request, typename Reply>
class TestStream {
 public:
  explicit TestStream(TestCall& call)
      : call_(call),
        end_(internal::TestStreamEnd::Open(
            call.call(),
            [written = written_](const google::protobuf::MessageLite& message,
                                 const absl::Cord& attachment) {
              written->Add(static_cast<const Reply&>(message), attachment);
            })),
        reader_(end_->port()),
        writer_(end_->port()),
        stream_(end_->port()) {}
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;

  // ---- for the handler
  ServerReader<Request>& reader() { return reader_; }
  ServerWriter<Reply>& writer() { return writer_; }
  ServerStream<Request, Reply>& stream() { return stream_; }
  // These include the right to answer; once. `reply` must live until the answer.
  AsyncServerReader<Request, Reply> async_reader(Reply& reply) {
    return AsyncServerReader<Request, Reply>(end_->port(), call_.responder(reply));
  }
  AsyncServerWriter<Reply> async_writer() {
    return AsyncServerWriter<Reply>(end_->port(), call_.TakeAnswer());
  }
  AsyncServerStream<Request, Reply> async_stream() {
    return AsyncServerStream<Request, Reply>(end_->port(), call_.TakeAnswer());
  }

  // ---- by the caller
  // One more to be read, and what comes beside it. Nothing after HalfClose.
  void Push(const Request& message, const absl::Cord& attachment = {}) {
    end_->Push(message, attachment);
  }
  // Ends the input: reading ends after the pushed messages.
  void HalfClose() { end_->HalfClose(); }
  // Flow control: lets so many more messages be written before the stream is not ready. No limit at
  // first.
  void SetRoom(size_t messages) { end_->SetRoom(messages); }
  // Sets a function that is called with each message that the handler writes. It may push,
  // half-close, make room and cancel. Set it before the handler runs.
  void OnWritten(std::function<void(const Reply&)> told) { written_->told = std::move(told); }

  // The messages written by the handler so far, in order.
  std::vector<Reply> written() const {
    internal::MutexLock lock(written_->mu);
    return written_->messages;
  }
  // Their attachments; empty: none.
  std::vector<absl::Cord> written_attachments() const {
    internal::MutexLock lock(written_->mu);
    return written_->attachments;
  }

 private:
  struct Written {
    void Add(const Reply& message, const absl::Cord& attachment) WEFT_EXCLUDES(mu) {
      {
        internal::MutexLock lock(mu);
        messages.push_back(message);
        attachments.push_back(attachment);
      }
      if (told) told(message);
    }

    std::function<void(const Reply&)> told;  // fixed when the handler begins
    internal::Mutex mu;
    std::vector<Reply> messages WEFT_GUARDED_BY(mu);
    std::vector<absl::Cord> attachments WEFT_GUARDED_BY(mu);
  };

  TestCall& call_;
  const std::shared_ptr<Written> written_ = std::make_shared<Written>();
  const std::shared_ptr<internal::TestStreamEnd> end_;
  ServerReader<Request> reader_;
  ServerWriter<Reply> writer_;
  ServerStream<Request, Reply> stream_;
};

}  // namespace weft

#endif  // WEFT_RPC_TESTING_TEST_STREAM_H_
