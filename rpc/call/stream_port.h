// One side's end of a streaming call: messages that came and wait to be read, and the way out for
// those it sends.
//
//   reading:  messages come ──► peer's half-close, or the end ──► what is queued is read ──► kEnd
//   writing:  kOpen ──HalfClose──► kHalfClosed                    either ──EndStream──► kEnded
//
// What waits to be read is bounded by the credit that was given (SessionLimits::stream_window_bytes
// and one message more); reading returns it.
//
// A caller's stream whose call may go to another server keeps what it sends (sent_messages.h). When
// the call has lost its carrier (Unbind), the writer waits; the next one is sent what was kept
// before anything new.
//
// Threads  one reader and one writer at a time, each any thread; On…, Bind and Opened: whoever
//          carries it; EndStream: any
// Owns     what came and was not read; its share of the carrier
// Errors   Fail: this side cannot go on (a message it cannot parse or send); error() is then what
//          the call ends with
// Ends     after EndStream nothing is sent, and reading ends when the queue is empty
#ifndef WEFT_RPC_CALL_STREAM_PORT_H_
#define WEFT_RPC_CALL_STREAM_PORT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "weft/core/fork_guard.h"
#include "weft/core/mutex.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/call/sent_messages.h"
#include "weft/rpc/call/stream_transport.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft {

class EventLoop;
class Executor;
class WriteWaits;
struct InitialMetadata;

enum class StreamRead : uint8_t { kMessage, kEnd, kNothingYet };

class StreamPort : public std::enable_shared_from_this<StreamPort> {
 public:
  // Smaller messages are copied, so that a slow reader does not hold the loop's memory.
  static constexpr size_t kCopyBelow = 1 << 10;
  using Wake = absl::AnyInvocable<void() &&>;
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

  // ---- by whoever waits for initial metadata
  // It is known whether there is some: it has come, or a message, or the end.
  bool begun() const WEFT_EXCLUDES(mu_);
  bool has_initial_metadata() const WEFT_EXCLUDES(mu_);

  // ---- waiting
  // Calls `wake` once, from any thread and inside whatever makes it go on, when it may: so `wake`
  // is weft's own, and enters the user's code by core/callback_queue.h. False: it need not wait.
  bool Wait(For what, Wake wake) WEFT_EXCLUDES(mu_);
  // False: there was nothing to stop, or its wake is being called.
  bool StopWaiting(For what) WEFT_EXCLUDES(mu_);
  // What bounds threads that wait here to write; null: nothing does.
  virtual std::shared_ptr<const WriteWaits> write_waits() const { return nullptr; }

  // This side's reason not to go on; the first one counts. The carrier's call is cancelled by
  // OnFailed.
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

  // ---- by whoever starts the call
  // Before anybody else sees it.
  void SetLoop(std::shared_ptr<EventLoop> loop) { loop_ = std::move(loop); }
  // It may have to be sent to another server: what it sends is kept from here on.
  void KeepSent() WEFT_EXCLUDES(mu_);
  // It is out of its carrier's hands, and is to go to another; false: it must not, for the server
  // has said something of it, or has been sent too much. On the loop.
  bool Unbind() WEFT_EXCLUDES(mu_);

  // ---- by the carrier
  // The call has its number. `window`: credit that the peer was given. Under the carrier's lock;
  // Opened follows without it.
  // `gate`: the carrier's, asked before a message is inflated; null: there is none.
  void Bind(std::shared_ptr<StreamTransport> carrier, size_t window, size_t max_message,
            InflateGate* gate = nullptr) WEFT_EXCLUDES(mu_);
  void Opened(const StreamTransport& carrier) WEFT_EXCLUDES(mu_);
  // The server has said something of the call: it stays there. On the loop.
  void OnTaken() {
    if (!std::exchange(taken, true)) StopKeeping();
  }
  void Deliver(ReceivedMessage message, size_t cost) WEFT_EXCLUDES(mu_);
  void OnHalfClose() WEFT_EXCLUDES(mu_);
  void OnInitialMetadata() WEFT_EXCLUDES(mu_);
  void OnRoom() WEFT_EXCLUDES(mu_);
  // Of the peer's credit; false: it has sent more than it was given.
  bool Charge(size_t cost) {
    return receive_credit.fetch_sub(static_cast<int64_t>(cost), std::memory_order_relaxed) > 0;
  }

  // Whose `sending` is; set and unset under its lock. Another one leaves it alone: a writer may
  // still be on its way to the carrier that the call had before.
  std::atomic<const StreamTransport*> carried_by{nullptr};
  // The carrier's, under its lock.
  struct Sending {
    uint64_t id = 0;
    bool reply = false;  // of a call that the peer started
    bool open = false;
    bool wants_room = false;
    int64_t credit = 0;
    bool over = false;  // a call that the peer started has been answered
    // Goes before the first message; null: one has been sent, or this side is the caller. The
    // call's, and valid while `open`.
    InitialMetadata* initial_metadata = nullptr;
  };
  Sending sending;
  // What this side's messages are compressed with.
  std::atomic<Compression> codec{Compression::kNone};
  // Credit given and not used; by the loop and whoever returns some.
  std::atomic<int64_t> receive_credit{0};
  // Read and not given back yet; the carrier's, under its lock.
  size_t unreturned = 0;
  // The peer has ended its side; has begun its messages. The loop's.
  bool receive_ended = false;
  bool receive_begun = false;
  bool taken = false;  // by a server that has said something of the call; the loop's

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
  struct Item {
    ReceivedMessage message;
    size_t cost = 0;
  };
  // What reading a message asks of the carrier. A port that has been given messages keeps its
  // carrier to its end, so that the reader needs no reference of its own.
  struct Source {
    StreamTransport* carrier = nullptr;
    const Log* log = nullptr;
    InflateGate* gate = nullptr;
    size_t max_message = 0;
  };
  static constexpr size_t kChunk = 16 << 10;

  void Keep(ReceivedMessage* message) WEFT_REQUIRES(mu_);
  Wake& WakeOf(For what) WEFT_REQUIRES(mu_);
  Wake TakeWake(For what) WEFT_REQUIRES(mu_);
  Wake Begin() WEFT_REQUIRES(mu_);
  StreamRead TakeItem(Item* item) WEFT_EXCLUDES(mu_);
  // kSent: a message may go to the carrier now. `*keeps`: by SendKept.
  StreamSent CheckWritable(std::shared_ptr<StreamTransport>* carrier, bool* keeps)
      WEFT_EXCLUDES(mu_);
  StreamSent SendKept(const StreamMessage& message, bool last, bool gather, absl::Status* why)
      WEFT_EXCLUDES(mu_);
  bool TellWriter() WEFT_EXCLUDES(mu_);
  bool SendAgain() WEFT_EXCLUDES(mu_);
  void StopKeeping() WEFT_EXCLUDES(mu_);
  bool TakeFromHand(size_t cost);
  size_t Drop(std::vector<Item>* dropped) WEFT_REQUIRES(mu_);

  Executor* const executor_;
  std::shared_ptr<EventLoop> loop_;

  // The reader's own.
  std::vector<Item> reading_;
  size_t next_ = 0;
  Source from_;
  // What that costs, as far as it has not been given back; set under mu_.
  std::atomic<size_t> in_hand_{0};
  // The writer's own.
  std::atomic<int> writes_in_a_row_{0};

  mutable Mutex mu_;
  std::shared_ptr<StreamTransport> carrier_ WEFT_GUARDED_BY(mu_);
  std::unique_ptr<SentMessages> sent_ WEFT_GUARDED_BY(mu_);  // null: nothing is kept
  size_t max_message_ WEFT_GUARDED_BY(mu_) = 0;
  InflateGate* gate_ WEFT_GUARDED_BY(mu_) = nullptr;
  std::vector<Item> inbox_ WEFT_GUARDED_BY(mu_);
  size_t inbox_cost_ WEFT_GUARDED_BY(mu_) = 0;
  BlockRef chunk_ WEFT_GUARDED_BY(mu_);
  size_t chunk_used_ WEFT_GUARDED_BY(mu_) = 0;
  bool peer_ended_ WEFT_GUARDED_BY(mu_) = false;
  bool dropped_ WEFT_GUARDED_BY(mu_) = false;
  bool half_closed_ WEFT_GUARDED_BY(mu_) = false;  // without a last message
  bool room_signal_ WEFT_GUARDED_BY(mu_) = false;  // came while nobody waited
  bool writer_ended_ WEFT_GUARDED_BY(mu_) = false;
  Wake reader_ WEFT_GUARDED_BY(mu_);
  Wake writer_ WEFT_GUARDED_BY(mu_);
  Wake beginning_ WEFT_GUARDED_BY(mu_);  // of who waits for initial metadata
  bool begun_ WEFT_GUARDED_BY(mu_) = false;
  bool has_initial_metadata_ WEFT_GUARDED_BY(mu_) = false;
  absl::Status error_ WEFT_GUARDED_BY(mu_);
  std::atomic<bool> ended_{false};
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_STREAM_PORT_H_
