// One side's end of a streaming call: both directions under one mutex, and the call's end.
//
//   messages that come ──► StreamInbox ──► ReadBatch ──► the reader
//   the writer ──► StreamOutbox ──► StreamTransport
//
// The states of each direction are drawn in stream_inbox.h and stream_outbox.h.
//
// On the client the call is its own port (ClientStreamCall). On the server the session makes an
// InboundStream with the call. A port may outlive its call: the application's reader and writer
// hold shares.
//
// Threads  one reader and one writer at a time, each any thread; On…, Bind and Opened: the
//          transport; EndStream: any
// Owns     what came and was not read; its share of the transport
// Errors   Fail: this side cannot go on (a message it cannot parse or send); error() is then what
//          the call ends with
// Ends     after EndStream nothing is sent, and reading ends when the queue is empty
#ifndef WEFT_RPC_CALL_STREAM_PORT_H_
#define WEFT_RPC_CALL_STREAM_PORT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/fork_guard.h"
#include "weft/core/mutex.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/call/read_batch.h"
#include "weft/rpc/call/stream_inbox.h"
#include "weft/rpc/call/stream_outbox.h"
#include "weft/rpc/call/stream_transport.h"
#include "weft/rpc/call/stream_wake.h"
#include "weft/rpc/call/transport_slot.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft {
class Executor;
}  // namespace weft

namespace weft::internal {

class EventLoop;
class WriteWaits;

class StreamPort : public std::enable_shared_from_this<StreamPort> {
 public:
  using Wake = StreamWake;
  // The things that a reader or writer may wait for.
  enum class For : uint8_t {
    kMessages,
    kRoom,
    kInitialMetadata,  // or to know that none comes
  };

  explicit StreamPort(Executor* executor = nullptr) : executor_(executor) {}
  virtual ~StreamPort();
  StreamPort(const StreamPort&) = delete;
  StreamPort& operator=(const StreamPort&) = delete;

  // ---- by the reader
  // `attachment` gets the bytes that came beside the message; null: they are not wanted.
  StreamRead TryRead(google::protobuf::MessageLite* out, absl::Cord* attachment = nullptr)
      WEFT_EXCLUDES(mu_);

  // ---- by the writer
  // `attachment` goes beside the message, and is shared; null: there is none.
  StreamSent TryWrite(const google::protobuf::MessageLite& message, bool last,
                      const absl::Cord* attachment = nullptr) WEFT_EXCLUDES(mu_);
  bool HasRoom() WEFT_EXCLUDES(mu_);
  void HalfClose() WEFT_EXCLUDES(mu_);

  // ---- waiting
  // Says if the other side's initial metadata has come. kNone also covers that none can come any
  // more: a message has come, or the end.
  StreamInbox::Beginning beginning() const WEFT_EXCLUDES(mu_);
  // Calls `wake` once, from any thread, inside the call that brings the awaited thing. So `wake`
  // must be weft's own code and enter the user's code by core/callback_queue.h. False: it need not
  // wait.
  bool Wait(For what, Wake wake) WEFT_EXCLUDES(mu_);
  // False: there was nothing to stop, or its wake is being called.
  bool StopWaiting(For what) WEFT_EXCLUDES(mu_);
  // The limits on threads that wait here to write; null: no limits.
  virtual std::shared_ptr<const WriteWaits> write_waits() const { return nullptr; }

  // Ends the stream with this side's reason. The first reason counts. OnFailed cancels the call.
  void Fail(absl::Status error) WEFT_EXCLUDES(mu_);
  absl::Status error() const WEFT_EXCLUDES(mu_);
  // Stops reading for good. Messages that wait to be read are dropped, and so are later ones. Their
  // credit goes back as if they had been read, so that the other side comes to its end.
  void StopReading() WEFT_EXCLUDES(mu_);
  // Ends the stream with its call. `drop`: messages that wait to be read go, too.
  void EndStream(bool drop) WEFT_EXCLUDES(mu_);
  // The executor on which its coroutines and callbacks go on. Null: they go on on its loop;
  // coroutines where their own rule says.
  Executor* executor() const { return executor_; }
  // The loop on whose thread callbacks run without an executor. Null before the call was started.
  EventLoop* loop() const { return loop_.get(); }
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  // The codec of this side's messages.
  std::atomic<Compression>& codec() { return codec_; }

  // ---- by the starter of the call
  // Call it before anybody else sees the stream.
  void SetLoop(std::shared_ptr<EventLoop> loop) { loop_ = std::move(loop); }
  // The call may have to go to another server: its messages are kept from here on.
  void KeepSent() WEFT_EXCLUDES(mu_);
  // The call has left its transport, and is to go to another one. False: it must not, because the
  // server has said something of it, or has been sent too much. On the loop.
  bool Unbind() WEFT_EXCLUDES(mu_);

  // ---- by the transport
  // The transport's own data for this stream.
  TransportSlot& slot() { return slot_; }
  const TransportSlot& slot() const { return slot_; }
  // The call has its number. `gate`: asked before a message is inflated; null: there is none. Under
  // the transport's lock; Opened follows without it.
  void Bind(std::shared_ptr<StreamTransport> transport, const MessageLimit& max_message,
            InflateGate* gate = nullptr) WEFT_EXCLUDES(mu_);
  void Opened(const StreamTransport& transport) WEFT_EXCLUDES(mu_);
  // The server has said something of the call: it stays there. On the loop.
  void OnTaken() {
    if (!std::exchange(taken_, true)) StopKeeping();
  }
  void Deliver(ReceivedMessage message, size_t cost) WEFT_EXCLUDES(mu_);
  void OnHalfClose() WEFT_EXCLUDES(mu_);
  void OnInitialMetadata() WEFT_EXCLUDES(mu_);
  void OnRoom() WEFT_EXCLUDES(mu_);

 protected:
  // In a forked child nothing is read, sent or waited for.
  const ForkGuard home_;

  // Fail was called. Any thread.
  virtual void OnFailed(const absl::Status& error) { (void)error; }
  // A message was read or is to be written: for interceptors.
  virtual absl::Status OnStreamMessage(bool outgoing, size_t bytes) {
    (void)outgoing, (void)bytes;
    return absl::OkStatus();
  }
  // The code of a written message that lacks a required field: whose fault it is.
  virtual absl::StatusCode CodeOfIncomplete() const { return absl::StatusCode::kInvalidArgument; }
  // OnStreamMessage wants to be called.
  virtual bool WantsMessages() const { return false; }

 private:
  StreamSent SendKept(const StreamMessage& message, bool last, bool gather, absl::Status* why)
      WEFT_EXCLUDES(mu_);
  // Sends the kept messages to the present transport, as far as there is room. False: not all have
  // gone.
  bool SendAgain() WEFT_EXCLUDES(mu_);
  void StopKeeping() WEFT_EXCLUDES(mu_);

  Executor* const executor_;
  std::shared_ptr<EventLoop> loop_;
  std::atomic<Compression> codec_{Compression::kNone};
  TransportSlot slot_;
  bool taken_ = false;  // by a server that has said something of the call; the loop's

  // The reader's own.
  ReadBatch batch_;
  // The writer's own.
  std::atomic<int> writes_in_a_row_{0};

  mutable Mutex mu_;
  StreamInbox inbox_ WEFT_GUARDED_BY(mu_);
  StreamOutbox outbox_ WEFT_GUARDED_BY(mu_);
  absl::Status error_ WEFT_GUARDED_BY(mu_);
  std::atomic<bool> ended_{false};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_STREAM_PORT_H_
