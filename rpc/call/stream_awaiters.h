// What a coroutine awaits of a stream, and how it goes on.
//
// A coroutine resumes on the stream's executor (CallOptions::executor); without one on the worker
// pool whose thread awaited, else on the I/O thread; never inside another call of the user's
// (core/callback_queue.h). What is there already is not waited for: the coroutine goes on at once.
// Destroying it while it waits gives the wait up; that must not happen at the moment at which it
// would resume on another thread.
//
// Threads  the coroutine's
// Owns     nothing; the stream and the message outlive it
#ifndef WEFT_RPC_CALL_STREAM_AWAITERS_H_
#define WEFT_RPC_CALL_STREAM_AWAITERS_H_

#include <coroutine>
#include <memory>
#include <utility>

#include "weft/rpc/call/resumption.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::call_internal {

// A coroutine's wait for one thing of a stream; given up where the awaiter goes before its end.
class StreamAwaiter {
 public:
  StreamAwaiter(const StreamAwaiter&) = delete;
  StreamAwaiter& operator=(const StreamAwaiter&) = delete;

 protected:
  StreamAwaiter(StreamPort& port, StreamPort::For what) : port_(port), what_(what) {}
  ~StreamAwaiter() {
    if (waiting_) (void)port_.StopWaiting(what_);
  }

  StreamPort& port() { return port_; }
  // `awaiter` is suspended: from the next word of the stream on it may run elsewhere, or be gone.
  void Suspend(std::coroutine_handle<> awaiter) {
    resumption_.Suspend(awaiter, port_.executor());
    waiting_ = true;
  }
  // Once, behind Suspend; may destroy this.
  void Resume() { resumption_.Go(port_.loop()); }
  // It goes on: resumed, or not suspended after all.
  void EndWait() { waiting_ = false; }
  // Suspends it until the stream's next word; false: there is one already.
  bool SuspendUntilWord(std::coroutine_handle<> awaiter) {
    Suspend(awaiter);
    if (port_.Wait(what_, [this] { Resume(); })) return true;
    EndWait();
    return false;
  }

 private:
  StreamPort& port_;
  const StreamPort::For what_;
  bool waiting_ = false;
  Resumption resumption_;
};

// `bool`: a message was read; false: there are no more.
class [[nodiscard]] ReadAwaiter : public StreamAwaiter {
 public:
  ReadAwaiter(StreamPort& port, google::protobuf::MessageLite* out, absl::Cord* attachment)
      : StreamAwaiter(port, StreamPort::For::kMessages), out_(out), attachment_(attachment) {}

  bool await_ready() {
    read_ = port().TryRead(out_, attachment_);
    return read_ != StreamRead::kNothingYet;
  }
  bool await_suspend(std::coroutine_handle<> awaiter) { return SuspendUntilWord(awaiter); }
  bool await_resume() {
    EndWait();
    if (read_ == StreamRead::kNothingYet) read_ = port().TryRead(out_, attachment_);
    return read_ == StreamRead::kMessage;
  }

 private:
  google::protobuf::MessageLite* const out_;
  absl::Cord* const attachment_;
  StreamRead read_ = StreamRead::kNothingYet;
};

// `bool`: the message is on its way; false: the call has ended, or this side of it.
class [[nodiscard]] WriteAwaiter : public StreamAwaiter {
 public:
  WriteAwaiter(StreamPort& port, const google::protobuf::MessageLite& message,
               const absl::Cord* attachment)
      : StreamAwaiter(port, StreamPort::For::kRoom), message_(message), attachment_(attachment) {}

  bool await_ready() { return Try(); }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    Suspend(awaiter);
    while (!WaitForRoom()) {
      if (!Try()) continue;
      EndWait();
      return false;
    }
    return true;
  }
  bool await_resume() {
    EndWait();
    return sent_ == StreamSent::kSent;
  }

 private:
  bool Try() {
    sent_ = port().TryWrite(message_, /*last=*/false, attachment_);
    return sent_ != StreamSent::kBlocked;
  }
  bool WaitForRoom() {
    return port().Wait(StreamPort::For::kRoom, [this] { OnRoom(); });
  }
  void OnRoom() {
    while (!Try()) {
      if (WaitForRoom()) return;
    }
    Resume();
  }

  const google::protobuf::MessageLite& message_;
  const absl::Cord* const attachment_;
  StreamSent sent_ = StreamSent::kBlocked;
};

// `bool`: the other side's initial metadata has come; false: there is none.
class [[nodiscard]] InitialMetadataAwaiter : public StreamAwaiter {
 public:
  explicit InitialMetadataAwaiter(StreamPort& port)
      : StreamAwaiter(port, StreamPort::For::kInitialMetadata) {}

  bool await_ready() { return port().beginning() != StreamInbox::Beginning::kUnknown; }
  bool await_suspend(std::coroutine_handle<> awaiter) { return SuspendUntilWord(awaiter); }
  bool await_resume() {
    EndWait();
    return port().beginning() == StreamInbox::Beginning::kThere;
  }
};

}  // namespace weft::call_internal

#endif  // WEFT_RPC_CALL_STREAM_AWAITERS_H_
