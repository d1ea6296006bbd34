// What a coroutine awaits of a stream, and how it goes on.
//
// A coroutine resumes on the stream's executor (CallOptions::executor); without one on the worker
// pool whose thread awaited, else on the I/O thread. Destroying it while it waits gives the wait
// up; that must not happen at the moment at which it would resume on another thread.
//
// Threads  the coroutine's
// Owns     nothing; the stream and the message outlive it
#ifndef WEFT_RPC_CALL_STREAM_AWAITERS_H_
#define WEFT_RPC_CALL_STREAM_AWAITERS_H_

#include <coroutine>
#include <memory>
#include <utility>

#include "weft/core/executor.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::call_internal {

// A suspended coroutine, and where it goes on.
class Resumption {
 public:
  Resumption() = default;
  Resumption(std::coroutine_handle<> awaiter, Executor* wish)
      : awaiter_(awaiter),
        executor_(wish != nullptr ? wish : Executor::Current()),
        scope_(CallScope::Current()) {}

  // Once; may destroy whatever holds this.
  void Go() { CallScope::Resume(std::move(scope_), awaiter_, executor_); }

 private:
  std::coroutine_handle<> awaiter_;
  Executor* executor_ = nullptr;
  std::shared_ptr<CallScope> scope_;
};

// `bool`: a message was read; false: there are no more.
class [[nodiscard]] ReadAwaiter {
 public:
  ReadAwaiter(StreamPort& port, google::protobuf::MessageLite* out) : port_(port), out_(out) {}
  ~ReadAwaiter() {
    if (waiting_) port_.StopWaiting(StreamPort::For::kMessages);
  }
  ReadAwaiter(const ReadAwaiter&) = delete;
  ReadAwaiter& operator=(const ReadAwaiter&) = delete;

  bool await_ready() {
    read_ = port_.TryRead(out_);
    return read_ != StreamRead::kNothingYet;
  }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    resumption_ = Resumption(awaiter, port_.executor());
    waiting_ = true;
    // Behind a true the coroutine may run elsewhere, or be gone.
    if (port_.Wait(StreamPort::For::kMessages, [this] { resumption_.Go(); })) return true;
    waiting_ = false;
    return false;
  }
  bool await_resume() {
    waiting_ = false;
    if (read_ == StreamRead::kNothingYet) read_ = port_.TryRead(out_);
    return read_ == StreamRead::kMessage;
  }

 private:
  StreamPort& port_;
  google::protobuf::MessageLite* const out_;
  StreamRead read_ = StreamRead::kNothingYet;
  bool waiting_ = false;
  Resumption resumption_;
};

// `bool`: the message is on its way; false: the call has ended, or this side of it.
class [[nodiscard]] WriteAwaiter {
 public:
  WriteAwaiter(StreamPort& port, const google::protobuf::MessageLite& message, bool last)
      : port_(port), message_(message), last_(last) {}
  ~WriteAwaiter() {
    if (waiting_) port_.StopWaiting(StreamPort::For::kRoom);
  }
  WriteAwaiter(const WriteAwaiter&) = delete;
  WriteAwaiter& operator=(const WriteAwaiter&) = delete;

  bool await_ready() { return Try(); }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    resumption_ = Resumption(awaiter, port_.executor());
    waiting_ = true;
    while (!port_.Wait(StreamPort::For::kRoom, [this] { OnRoom(); })) {
      if (!Try()) continue;
      waiting_ = false;
      return false;
    }
    return true;
  }
  bool await_resume() {
    waiting_ = false;
    return sent_ == StreamSent::kSent;
  }

 private:
  bool Try() {
    sent_ = port_.TryWrite(message_, last_);
    return sent_ != StreamSent::kBlocked;
  }
  void OnRoom() {
    while (!Try()) {
      if (port_.Wait(StreamPort::For::kRoom, [this] { OnRoom(); })) return;
    }
    resumption_.Go();
  }

  StreamPort& port_;
  const google::protobuf::MessageLite& message_;
  const bool last_;
  StreamSent sent_ = StreamSent::kBlocked;
  bool waiting_ = false;
  Resumption resumption_;
};

// `bool`: the other side's initial metadata has come; false: there is none.
class [[nodiscard]] InitialMetadataAwaiter {
 public:
  explicit InitialMetadataAwaiter(StreamPort& port) : port_(port) {}
  ~InitialMetadataAwaiter() {
    if (waiting_) port_.StopWaiting(StreamPort::For::kInitialMetadata);
  }
  InitialMetadataAwaiter(const InitialMetadataAwaiter&) = delete;
  InitialMetadataAwaiter& operator=(const InitialMetadataAwaiter&) = delete;

  bool await_ready() { return port_.begun(); }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    resumption_ = Resumption(awaiter, port_.executor());
    waiting_ = true;
    // As with ReadAwaiter.
    if (port_.Wait(StreamPort::For::kInitialMetadata, [this] { resumption_.Go(); })) return true;
    waiting_ = false;
    return false;
  }
  bool await_resume() {
    waiting_ = false;
    return port_.has_initial_metadata();
  }

 private:
  StreamPort& port_;
  bool waiting_ = false;
  Resumption resumption_;
};

}  // namespace weft::call_internal

#endif  // WEFT_RPC_CALL_STREAM_AWAITERS_H_
