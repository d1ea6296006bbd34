// Reading and writing a stream's messages, in three styles: the two halves of the classes that
// handlers and callers hold.
//
//   while (stream.Read(&message)) …                  blocks; not on an I/O thread
//   while (co_await stream.ReadCoro(&message)) …     in a coroutine
//   stream.ReadAsync(&message, [](bool more) { … }); calls back, once
//
// Raw bytes may travel beside a message, neither parsed nor copied: a written message shares the
// bytes of the attachment given, and a read one shares the bytes that came.
//
// A callback never runs inside a call, be it the one that registers it or one that ends the stream,
// and so never under a lock that is held around such a call (core/callback_queue.h). It is called
// once, at the latest with the stream's end, also where the stream is destroyed before: what it
// refers to lives until then. Its exceptions are caught, counted and logged
// (Runtime::callback_throws).
//
// Threads  one reader and one writer at a time, each any thread. Read and Write wait: not under a
//          lock that a callback takes, and not on an I/O thread, where they are refused
// Errors   false: there is nothing more to read, or nothing can be written any more; the call's
//          status says why
#ifndef WEFT_RPC_CALL_STREAM_SIDES_H_
#define WEFT_RPC_CALL_STREAM_SIDES_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/cord.h"
#include "weft/core/executor.h"
#include "weft/rpc/call/stream_awaiters.h"
#include "weft/rpc/call/stream_port.h"

namespace weft {

// Calls back when something can go on: on the stream's executor, else on the I/O thread, which it
// must not block.
using StreamCallback = absl::AnyInvocable<void(bool) &&>;

namespace internal {

void ReadLater(std::shared_ptr<StreamPort> port, google::protobuf::MessageLite* out,
               absl::Cord* attachment, StreamCallback done);
bool ReadHere(StreamPort& port, google::protobuf::MessageLite* out, absl::Cord* attachment);
bool WriteHere(StreamPort& port, const google::protobuf::MessageLite& message,
               const absl::Cord* attachment);
bool InitialMetadataHere(StreamPort& port);
void InitialMetadataLater(std::shared_ptr<StreamPort> port, StreamCallback done);
void TellRoom(std::shared_ptr<StreamPort> port, absl::AnyInvocable<void() &&> ready);

}  // namespace internal

template <typename Message>
class StreamReadSide {
 public:
  // Waits for the next message; false: there are no more.
  bool Read(Message* out) { return internal::ReadHere(*read_port_, out, nullptr); }
  internal::ReadAwaiter ReadCoro(Message* out) {
    return internal::ReadAwaiter(*read_port_, out, nullptr);
  }
  // `out` lives until `done` is called.
  void ReadAsync(Message* out, StreamCallback done) {
    internal::ReadLater(read_port_, out, nullptr, std::move(done));
  }

  // These also give the raw bytes that came beside the message; empty if none did.
  bool Read(Message* out, absl::Cord* attachment) {
    return internal::ReadHere(*read_port_, out, attachment);
  }
  internal::ReadAwaiter ReadCoro(Message* out, absl::Cord* attachment) {
    return internal::ReadAwaiter(*read_port_, out, attachment);
  }
  void ReadAsync(Message* out, absl::Cord* attachment, StreamCallback done) {
    internal::ReadLater(read_port_, out, attachment, std::move(done));
  }

 protected:
  explicit StreamReadSide(std::shared_ptr<internal::StreamPort> port)
      : read_port_(std::move(port)) {}

 private:
  std::shared_ptr<internal::StreamPort> read_port_;
};

template <typename Message>
class StreamWriteSide {
 public:
  // Waits until there is room for the message: the other side's credit, and little to be written
  // on the connection. False: nothing can be written any more. In a handler the wait has limits:
  // ServerOptions::max_write_wait.
  bool Write(const Message& message) { return internal::WriteHere(*write_port_, message, nullptr); }
  // The message lives until the coroutine goes on.
  internal::WriteAwaiter WriteCoro(const Message& message) {
    return internal::WriteAwaiter(*write_port_, message, nullptr);
  }
  // True: there was room, and the message is on its way. False: there was none, or the call has
  // ended; OnReady says when to try again.
  bool TryWrite(const Message& message) {
    return write_port_->TryWrite(message, false) == internal::StreamSent::kSent;
  }

  // These also send raw bytes beside the message. A peer that does not take them ends the call with
  // UNIMPLEMENTED.
  bool Write(const Message& message, const absl::Cord& attachment) {
    return internal::WriteHere(*write_port_, message, &attachment);
  }
  internal::WriteAwaiter WriteCoro(const Message& message, const absl::Cord& attachment) {
    return internal::WriteAwaiter(*write_port_, message, &attachment);
  }
  bool TryWrite(const Message& message, const absl::Cord& attachment) {
    return write_port_->TryWrite(message, false, &attachment) == internal::StreamSent::kSent;
  }

  // True if TryWrite would write.
  bool ready() const { return write_port_->HasRoom(); }
  // Nothing can be written any more.
  bool ended() const { return write_port_->ended(); }
  // Calls back, once, when there is room or the call has ended.
  void OnReady(absl::AnyInvocable<void() &&> ready) {
    internal::TellRoom(write_port_, std::move(ready));
  }

 protected:
  explicit StreamWriteSide(std::shared_ptr<internal::StreamPort> port)
      : write_port_(std::move(port)) {}
  internal::StreamPort& port() { return *write_port_; }

 private:
  std::shared_ptr<internal::StreamPort> write_port_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_STREAM_SIDES_H_
