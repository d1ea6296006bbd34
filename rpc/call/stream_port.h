// One side's end of a streaming call: both directions under one mutex, and the call's end.
//
//   messages that come ──► StreamInbox ──► ReadBatch ──► the reader
//   the writer ──► StreamOutbox ──► StreamTransport
//
// The states of each direction are drawn in stream_inbox.h and stream_outbox.h.
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

class EventLoop;
class Executor;
class WriteWaits;

class StreamPort : public std::enable_shared_from_this<StreamPort> {
 public:
  using Wake = StreamWake;
  // What one may wait for.
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
  // `attachment`: what came beside the message; null: nobody asks.
  StreamRead TryRead(google::protobuf::MessageLite* out, absl::Cord* attachment = nullptr)
      WEFT_EXCLUDES(mu_);

  // ---- by the writer
  // `attachment`: goes beside the message, and is shared; null: nothing does.
  StreamSent TryWrite(const google::protobuf::MessageLite& message, bool last,
                      const absl::Cord* attachment = nullptr) WEFT_EXCLUDES(mu_);
  bool HasRoom() WEFT_EXCLUDES(mu_);
  void HalfClose() WEFT_EXCLUDES(mu_);

  // ---- waiting
  // kNone also when it is known that none comes: a message has come, or the end.
  StreamInbox::Beginning beginning() const WEFT_EXCLUDES(mu_);
  // Calls `wake` once, from any thread and inside whatever makes it go on, when it may: so `wake`
  // is weft's own, and enters the user's code by core/callback_queue.h. False: it need not wait.
  bool Wait(For what, Wake wake) WEFT_EXCLUDES(mu_);
  // False: there was nothing to stop, or its wake is being called.
  bool StopWaiting(For what) WEFT_EXCLUDES(mu_);
  // What bounds threads that wait here to write; null: nothing does.
  virtual std::shared_ptr<const WriteWaits> write_waits() const { return nullptr; }

  // This side's reason not to go on; the first one counts. The call is cancelled by OnFailed.
  void Fail(absl::Status error) WEFT_EXCLUDES(mu_);
  absl::Status error() const WEFT_EXCLUDES(mu_);
  // Nobody reads any more: what waits to be read is dropped, and so is what comes, and its credit
  // goes back as if it had been read, so that the other side comes to its end.
  void StopReading() WEFT_EXCLUDES(mu_);
  // The call is over. `drop`: what waits to be read, too.
  void EndStream(bool drop) WEFT_EXCLUDES(mu_);
  // Where its coroutines and callbacks go on; null: on its loop, or as coroutines say.
  Executor* executor() const { return executor_; }
  // The I/O thread's, where callbacks run without an executor; null before the call was started.
  EventLoop* loop() const { return loop_.get(); }
  bool ended() const { return ended_.load(std::memory_order_acquire); }
  // What this side's messages are compressed with.
  std::atomic<Compression>& codec() { return codec_; }

  // ---- by whoever starts the call
  // Before anybody else sees it.
  void SetLoop(std::shared_ptr<EventLoop> loop) { loop_ = std::move(loop); }
  // It may have to be sent to another server: what it sends is kept from here on.
  void KeepSent() WEFT_EXCLUDES(mu_);
  // It is out of its transport's hands, and is to go to another; false: it must not, for the server
  // has said something of it, or has been sent too much. On the loop.
  bool Unbind() WEFT_EXCLUDES(mu_);

  // ---- by the transport
  // What the transport keeps of it.
  TransportSlot& slot() { return slot_; }
  const TransportSlot& slot() const { return slot_; }
  // The call has its number. `gate`: asked before a message is inflated; null: there is none. Under
  // the transport's lock; Opened follows without it.
  void Bind(std::shared_ptr<StreamTransport> transport, size_t max_message,
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
  // OnStreamMessage wants to be called.
  virtual bool WantsMessages() const { return false; }

 private:
  StreamSent SendKept(const StreamMessage& message, bool last, bool gather, absl::Status* why)
      WEFT_EXCLUDES(mu_);
  // Sends what was sent to the transport before, as far as there is room. False: not all has gone.
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

}  // namespace weft

#endif  // WEFT_RPC_CALL_STREAM_PORT_H_
