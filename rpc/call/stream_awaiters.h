// Awaiters for the events of a stream, and where a coroutine goes on.
//
// A coroutine resumes on the stream's executor (CallOptions::executor); without one on the worker
// pool whose thread awaited, else on the I/O thread; never inside another call of the user's
// (core/callback_queue.h). If the result is there already, the coroutine goes on at once.
// Destroying it while it waits gives the wait up. That is done where it would resume; the stream's
// event may come on another thread at that moment.
//
// Threads  the coroutine's
// Owns     nothing; the stream and the message outlive it
#ifndef WEFT_RPC_CALL_STREAM_AWAITERS_H_
#define WEFT_RPC_CALL_STREAM_AWAITERS_H_

#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include "weft/core/coro.h"
#include "weft/rpc/call/resume_ticket.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::internal {

// A coroutine's wait for one thing of a stream. Destroying the awaiter before its end gives it up.
class StreamAwaiter {
 public:
  StreamAwaiter(const StreamAwaiter&) = delete;
  StreamAwaiter& operator=(const StreamAwaiter&) = delete;

 protected:
  StreamAwaiter(StreamPort& port, StreamPort::For what) : port_(port), what_(what) {}
  ~StreamAwaiter() {
    if (ticket_ == nullptr) return;
    (void)port_.StopWaiting(what_);
    ticket_->TakeBack();  // the event may be on its way already
  }

  StreamPort& port() { return port_; }
  // Suspends the coroutine until the stream's next event. False: the event is there already. An
  // event comes from any thread and finds the ticket, never the awaiter, which goes with its
  // coroutine.
  bool SuspendUntilWord(std::coroutine_handle<> awaiter) {
    auto ticket = std::make_shared<Ticket>(awaiter, port_);
    ticket_ = ticket;
    if (port_.Wait(what_, [ticket = std::move(ticket)]() mutable { Go(std::move(ticket)); })) {
      return true;  // from here on this may be gone
    }
    EndWait();
    return false;
  }
  // The coroutine goes on: it was resumed, or not suspended after all.
  void EndWait() { ticket_.reset(); }

 private:
  struct Ticket final : ResumeTicket {
    Ticket(std::coroutine_handle<> awaiter, StreamPort& stream)
        : ResumeTicket(awaiter, stream.executor()), port(stream) {}
    StreamPort& port;  // brings the event, and so is there
  };
  static void Go(std::shared_ptr<Ticket> ticket) {
    EventLoop* const loop = ticket->port.loop();
    ResumeTicket::Go(std::move(ticket), loop);
  }

  StreamPort& port_;
  const StreamPort::For what_;
  std::shared_ptr<Ticket> ticket_;  // while it waits
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

// Nothing: there is room, or there was, or the call has ended.
class [[nodiscard]] RoomAwaiter : public StreamAwaiter {
 public:
  explicit RoomAwaiter(StreamPort& port) : StreamAwaiter(port, StreamPort::For::kRoom) {}

  bool await_ready() { return false; }
  bool await_suspend(std::coroutine_handle<> awaiter) { return SuspendUntilWord(awaiter); }
  void await_resume() { EndWait(); }
};

// Writes where its awaiter goes on. Another writer of the connection may have taken the room by
// then, so this may wait several times.
inline Coro<StreamSent> WriteWithRoom(StreamPort& port,
                                      const google::protobuf::MessageLite& message,
                                      const absl::Cord* attachment) {
  StreamSent sent = StreamSent::kBlocked;
  while (sent == StreamSent::kBlocked) {
    RoomAwaiter room(port);
    co_await room;
    sent = port.TryWrite(message, /*last=*/false, attachment);
  }
  co_return sent;
}

// `bool`: the message is on its way; false: the call has ended, or this side of it.
class [[nodiscard]] WriteAwaiter {
 public:
  WriteAwaiter(StreamPort& port, const google::protobuf::MessageLite& message,
               const absl::Cord* attachment)
      : port_(port), message_(message), attachment_(attachment) {}
  WriteAwaiter(const WriteAwaiter&) = delete;
  WriteAwaiter& operator=(const WriteAwaiter&) = delete;

  bool await_ready() {
    sent_ = port_.TryWrite(message_, /*last=*/false, attachment_);
    return sent_ != StreamSent::kBlocked;
  }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) {
    waiting_.emplace(WriteWithRoom(port_, message_, attachment_));
    return waiting_->await_suspend(awaiter);
  }
  bool await_resume() {
    if (waiting_.has_value()) sent_ = waiting_->await_resume();
    return sent_ == StreamSent::kSent;
  }

 private:
  StreamPort& port_;
  const google::protobuf::MessageLite& message_;
  const absl::Cord* const attachment_;
  StreamSent sent_ = StreamSent::kBlocked;
  std::optional<Coro<StreamSent>> waiting_;  // where there was no room
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

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_STREAM_AWAITERS_H_
