// A native session's face for other threads: starts calls, sends answers, cancels.
//
// It carries this side's calls: their numbers, the table of those under way and the method numbers
// already bound, all under the output's mutex, because numbers must rise in the order in which
// requests stand in the stream.
//
//   kOpening ──Open──► kUp ──GoAway──► kGoingAway ──► kClosed       calls start in kUp only
//
// Threads  any; what is marked LOOP_ONLY: the session's loop
// Owns     the output (ConnectionHandle); the calls in its table stay their starters'
// Errors   TryStart says why a call was not started
// Ends     after the session's end every call has been completed and TryStart says kGone
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "weft/core/connection_handle.h"
#include "weft/core/deadline_wheel.h"
#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/id_table.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/call/stream_transport.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/native/fragment_queue.h"
#include "weft/rpc/protocol/native/frame_writer.h"
#include "weft/rpc/protocol/native/handshake.h"
#include "weft/rpc/protocol/native/link_target.h"
#include "weft/rpc/protocol/native/native_stream.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::native {

class NativeSession;

class NativeLink final : public ConnectionHandle,
                         public CallOrigin,
                         public CallLink,
                         public ConnectionGauge,
                         public StreamTransport,
                         private OutputFeeder {
 public:
  NativeLink(std::shared_ptr<EventLoop> loop, DeadlineWheel& wheel, std::shared_ptr<CallPool> pool,
             std::unique_ptr<Transport> transport, std::string peer,
             std::shared_ptr<const SessionLimits> limits, std::shared_ptr<InflateGate> gate,
             InputBudgets input = {});

  // CallLink
  ANY_THREAD StartResult TryStart(OutboundCall& call, absl::Status* why) override;
  void StopStarting() LOOP_ONLY override;
  EventLoop& loop() const override { return ConnectionHandle::loop(); }

  // CallOrigin
  ANY_THREAD void SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage* reply,
                             bool more_soon) override;
  ANY_THREAD bool SendInitialMetadata(InboundCall& call) override;
  void OnCallReturned(InboundCall& call) override;
  ANY_THREAD void WatchDeadline(InboundCall& call) override;
  const std::string& peer() const override { return ConnectionHandle::peer(); }
  const std::string& identity() const override { return identity_; }

  const SessionLimits& limits() const { return *limits_; }
  InflateGate& gate() const { return *gate_; }
  // What the peer's Hello said; written by the loop, once, and so read there without the mutex.
  const PeerSettings& agreement() const LOOP_ONLY WEFT_NO_THREAD_ANALYSIS { return peer_limits_; }

  // StreamTransport (native_link_streams.cc)
  ANY_THREAD StreamSent SendMessage(StreamPort& port, const StreamMessage& message, bool last,
                                    bool gather, absl::Status* why) override;
  ANY_THREAD void SendHalfClose(StreamPort& port) override;
  ANY_THREAD void ReturnCredit(StreamPort& port, size_t bytes) override;
  ANY_THREAD bool HasRoom(StreamPort& port) override;
  ANY_THREAD const Log* log() const override { return &loop().log(); }

  std::shared_ptr<CallTarget> Caller() override {
    return std::shared_ptr<CallTarget>(shared_from_this(), &target_);
  }

  // CallCanceller
  ANY_THREAD void CancelCall(uint64_t id) override;

  // ConnectionGauge
  ANY_THREAD ConnectionVolume Volume() override;
  // For Volume: bytes read, and the peer's calls: how many were taken and the last number.
  void CountInput(uint64_t bytes, uint64_t taken, uint64_t last) LOOP_ONLY {
    bytes_in_.store(bytes, std::memory_order_relaxed);
    taken_.store(taken, std::memory_order_relaxed);
    last_inbound_.store(last, std::memory_order_relaxed);
  }

  // Answers a call that no InboundCall was made for.
  void SendError(uint64_t id, const absl::Status& status, bool not_executed) LOOP_ONLY;
  void SendFrame(const FrameHeader& header, std::string_view bytes) LOOP_ONLY;
  // The last of this connection, or with null none: nothing is written behind it, not even the rest
  // of what has begun.
  void SendLast(const FrameHeader* header, std::string_view bytes) LOOP_ONLY;

  // ---- for the session's streams (native_link_streams.cc)
  // The stream of a call of ours; null: the call has ended, or is no stream (`*call` is then true).
  // `*started`: it was started at all.
  std::shared_ptr<StreamPort> StreamOf(uint64_t id, bool* call, bool* started) LOOP_ONLY;
  // Whether that call was ever started.
  bool EverStarted(uint64_t id) LOOP_ONLY;
  // Makes the stream of a call of the peer ready.
  void OpenInbound(InboundCall& call, StreamPort& port, bool sends, bool receives,
                   size_t credit) LOOP_ONLY;
  // More credit came: for one stream, for all together. False: more than can be.
  bool AddCredit(StreamPort& port, uint32_t bytes) LOOP_ONLY;
  bool AddConnectionCredit(uint32_t bytes) LOOP_ONLY;
  // Charges the peer; false: it has sent more than it was given.
  bool ChargeConnection(size_t cost) {
    return receive_credit_.fetch_sub(static_cast<int64_t>(cost), std::memory_order_relaxed) > 0;
  }
  // Of a message that nobody reads.
  void ReturnConnectionCredit(size_t bytes) LOOP_ONLY;
  // Ends a streaming call of the peer with an error of this side's; its handler's answer is for
  // nobody then. False: it has been answered.
  bool Abort(InboundCall& call, const absl::Status& why) LOOP_ONLY;
  // What is left of the answer to a call that its caller has given up is not sent.
  void DropAnswer(uint64_t id) LOOP_ONLY;

  // ---- for the session
  void Attach(NativeSession* session) LOOP_ONLY { session_ = session; }
  void SetPeer(const PeerSettings& agreement) LOOP_ONLY;
  void Open(std::string identity) LOOP_ONLY;
  // As StopStarting. Calls above `last_taken` are taken out: the peer will not execute them.
  OutboundCall* GoAway(uint64_t last_taken) LOOP_ONLY;
  // Every call under way; from now on there are none. `*written`: how much of the stream the kernel
  // took.
  OutboundCall* Close(uint64_t* written) LOOP_ONLY;
  // Takes calls out for their end; nullptr where there is none (late, or unknown).
  OutboundCall* Take(uint64_t id) LOOP_ONLY;
  void TakeMany(const uint64_t* ids, OutboundCall** calls, size_t count) LOOP_ONLY;
  // Puts the deadlines of calls that other threads started into the wheel; says when to look again.
  MonoTime ArmDeadlines(DeadlineTarget* target) LOOP_ONLY;
  size_t calls_under_way() LOOP_ONLY;
  bool UnderWay(uint64_t id) LOOP_ONLY { return Find(id) != nullptr; }
  // A call of ours that stays until the loop takes it out, or null.
  OutboundCall* Find(uint64_t id) LOOP_ONLY;
  // Calls of the peer that were answered so far.
  uint64_t answered() LOOP_ONLY;
  // The session of the connection, nullptr when it has ended.
  NativeSession* session() const LOOP_ONLY { return session_; }
  bool OutputOverLimit() LOOP_ONLY;
  void Trim() LOOP_ONLY;

 private:
  enum class State : uint8_t { kOpening, kUp, kGoingAway, kClosed };

  // From so many bytes on, a request or reply is written at once instead of at the turn's end:
  // while it is in the cache.
  static constexpr size_t kWriteAtOnce = size_t{256} << 10;
  // Until so many bytes wait, streams may send.
  static constexpr size_t kStreamRoom = size_t{256} << 10;
  // How far pieces of large messages are queued ahead.
  static constexpr size_t kFeedTo = size_t{256} << 10;

  StartResult TryStartSlow(OutboundCall& call, OutMessage& out, absl::Status* why);
  // kPlain: OutboundCall::plain, and it fits into a frame. `pieces`: of one that does not; else
  // null.
  template <bool kPlain>
  StartResult SendRequest(OutboundCall& call, OutMessage& out, std::vector<MessagePiece>* pieces,
                          bool borrow, absl::Status* why);
  bool NoteDeadline(MonoTime deadline, Nanos left) WEFT_REQUIRES(output().mutex());
  void AskToLook();
  void BindStream(const OutboundCall& call, const RequestHead& head)
      WEFT_REQUIRES(output().mutex());
  // OutputFeeder
  void Feed(OutputQueue& queue) override WEFT_NO_THREAD_ANALYSIS;
  void UpdateFeed() WEFT_REQUIRES(output().mutex());
  // Keeps what does not fit into the frame just written; `pieces` may be moved.
  void AddFragments(uint64_t id, bool reply, const PieceCursor& cursor, OutMessage& out,
                    std::vector<MessagePiece>& pieces) WEFT_REQUIRES(output().mutex());
  // Compresses the message and puts the attachment behind it, as far as the peer takes it (an error
  // for an attachment that it does not). `pieces` hold the message. `shared`: so does this, which
  // keeps its compressed forms; or null.
  absl::Status Transform(Compression codec, const absl::Cord* attachment, bool of_stream,
                         OutMessage* out, std::vector<MessagePiece>* pieces,
                         const SerializedRequest* shared = nullptr);
  void DropFragments(FragmentKey key) WEFT_REQUIRES(output().mutex());
  // `frame` is written when what the call has in the fragment queue is out.
  void SendBehind(FragmentKey key, size_t bytes, FragmentQueue::Later frame)
      WEFT_REQUIRES(output().mutex());
  void OwnBorrowed(uint64_t id);
  void BreakForMemory(uint64_t id);
  size_t Waiting() WEFT_REQUIRES(output().mutex()) {
    return output().queued() + fragments_.bytes();
  }
  bool RoomFor(const StreamPort& port) WEFT_REQUIRES(output().mutex());
  void MessageBehind(const StreamMessageHead& head, OutMessage& out,
                     std::vector<MessagePiece>& pieces) WEFT_REQUIRES(output().mutex());
  void Park(StreamPort& port) WEFT_REQUIRES(output().mutex());
  void AwaitOutput(const StreamPort& port) WEFT_REQUIRES(output().mutex());
  void TellWaiting();
  void GiveBack(size_t bytes) WEFT_REQUIRES(output().mutex());
  void WriteWindow(uint64_t id, bool reply, size_t bytes) WEFT_REQUIRES(output().mutex());
  void AnswerBehind(InboundCall& call, const ResponseHead& head, const absl::Status& error)
      WEFT_REQUIRES(output().mutex());
  // Initial metadata (native_link_metadata.cc).
  absl::Status CheckInitialMetadata(const Metadata& pairs) WEFT_REQUIRES(output().mutex());
  const Metadata* TakeInitialMetadata(InboundCall& call, absl::Status* error);
  bool BeginMessages(NativeStream& stream, absl::Status* why) WEFT_REQUIRES(output().mutex());
  void WriteHeaders(uint64_t id, const Metadata& pairs) WEFT_REQUIRES(output().mutex());
  void ForgetOutbound(uint64_t id, OutboundCall* call) WEFT_REQUIRES(output().mutex());
  void LetGo(StreamPort& port) WEFT_REQUIRES(output().mutex());
  void StopWaiting(StreamPort& port) WEFT_REQUIRES(output().mutex());
  // Whether what there is of the stream's sending is this link's.
  bool Carries(const StreamPort& port) WEFT_REQUIRES(output().mutex()) {
    return port.slot().OwnedBy(this);
  }
  // Whether it may send messages, or may yet.
  bool Sends(const StreamPort& port) WEFT_REQUIRES(output().mutex()) {
    return Carries(port) && NativeStream::Of(port).open && !output().closed();
  }
  absl::Status CheckRequest(const OutboundCall& call, size_t size, const Metadata* metadata)
      WEFT_REQUIRES(output().mutex());
  absl::Status CheckReply(size_t size) WEFT_REQUIRES(output().mutex());
  uint16_t BindMethod(const MethodInfo& method, bool* first) WEFT_REQUIRES(output().mutex());
  static absl::Status TooLarge(std::string_view what, size_t size, size_t limit,
                               std::string_view setting);
  void Flush(bool claimed, bool gather, bool large) {
    if (!claimed) return;
    if (gather && !large) {
      FlushOnLoop();
    } else {
      FlushNow();
    }
  }
  // The same, by who still holds the output's mutex, which this lets go.
  void Flush(MutexLock& held, bool claimed, bool gather, bool large)
      WEFT_REQUIRES(output().mutex()) WEFT_NO_THREAD_ANALYSIS {
    if (claimed && (large || !gather)) {
      FlushNow(held);
    } else {
      held.Unlock();
      if (claimed) FlushOnLoop();
    }
  }

  // Fixed at construction.
  LinkTarget target_{*this};
  DeadlineWheel& wheel_;
  const std::shared_ptr<CallPool> pool_;  // kept for the calls that are out
  const std::shared_ptr<const SessionLimits> limits_;
  const std::shared_ptr<InflateGate> gate_;
  // So much may wait to be written before a limit can be near.
  const size_t unchecked_output_;

  // The loop's own; identity_ is written before the first call and constant then.
  NativeSession* session_ LOOP_OWNED = nullptr;
  std::string identity_;

  // Written by the loop.
  std::atomic<uint64_t> bytes_in_{0}, taken_{0}, last_inbound_{0};

  // Under the output's mutex.
  State state_ WEFT_GUARDED_BY(output().mutex()) = State::kOpening;
  PeerSettings peer_limits_ WEFT_GUARDED_BY(output().mutex());
  uint64_t next_id_ WEFT_GUARDED_BY(output().mutex()) = 1;
  IdTable<OutboundCall> calls_ WEFT_GUARDED_BY(output().mutex());
  absl::flat_hash_map<const MethodInfo*, uint16_t> methods_ WEFT_GUARDED_BY(output().mutex());
  const MethodInfo* last_method_ WEFT_GUARDED_BY(output().mutex()) = nullptr;
  uint16_t last_number_ WEFT_GUARDED_BY(output().mutex()) = 0;
  // The loop looks for unarmed deadlines by then; a call with an earlier one makes it look at once.
  MonoTime looked_for_by_ WEFT_GUARDED_BY(output().mutex()) = kNever;
  Nanos shortest_timeout_ WEFT_GUARDED_BY(output().mutex()) = Nanos::max();
  bool unarmed_ WEFT_GUARDED_BY(output().mutex()) = false;
  uint64_t answered_ WEFT_GUARDED_BY(output().mutex()) = 0;
  // Large messages and streams.
  FragmentQueue fragments_ WEFT_GUARDED_BY(output().mutex());
  int64_t credit_ WEFT_GUARDED_BY(output().mutex()) = 0;     // of all streams together
  size_t unreturned_ WEFT_GUARDED_BY(output().mutex()) = 0;  // read, and not given back yet
  std::vector<std::shared_ptr<StreamPort>> waiting_ WEFT_GUARDED_BY(output().mutex());
  bool output_awaited_ WEFT_GUARDED_BY(output().mutex()) = false;  // by one of waiting_
  std::atomic<int64_t> receive_credit_;                            // given and not used
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_
