// One native connection, as those see it who start calls on it: numbers them, writes their
// requests, cancels them.
//
//   kOpening ──Open──► kUp
//   kOpening, kUp ──StopStarting, GoAway──► kGoingAway
//   kOpening, kUp, kGoingAway ──Close──► kClosed
//
// Calls start in kUp only.
//
// Everything stands under the output's mutex, because numbers must rise in the order in which
// requests stand in the stream.
//
//   FrameOutput ◄── LinkStreams   messages of streams, credit
//               ◄── AnswerSender  answers to the peer's calls
//               ◄── NativeLink    requests; OutboundCalls, MethodNumbers
//
// Threads  any; what is marked LOOP_ONLY: the session's loop
// Owns     the table of this side's calls, which stay their starters'; has the output, the streams
//          and the answers, each a part of its own
// Errors   TryStart says why a call was not started
// Ends     after the session's end every call has been completed and TryStart says kGone
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/deadline_wheel.h"
#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/native/answer_sender.h"
#include "weft/rpc/protocol/native/frame_output.h"
#include "weft/rpc/protocol/native/handshake.h"
#include "weft/rpc/protocol/native/link_streams.h"
#include "weft/rpc/protocol/native/method_numbers.h"
#include "weft/rpc/protocol/native/outbound_calls.h"

namespace weft::native {

class CallEnder;
class InboundTable;

class NativeLink final : public CallLink,
                         public ConnectionGauge,
                         public std::enable_shared_from_this<NativeLink> {
 public:
  enum class State : uint8_t { kOpening, kUp, kGoingAway, kClosed };
  static constexpr bool MayGo(State from, State to) { return from < to; }

  // `pool`: kept for the peer's calls that are out.
  static std::shared_ptr<NativeLink> Make(std::shared_ptr<FrameOutput> frames, DeadlineWheel& wheel,
                                          std::shared_ptr<CallPool> pool,
                                          std::shared_ptr<InflateGate> gate);
  NativeLink(std::shared_ptr<FrameOutput> frames, DeadlineWheel& wheel,
             std::shared_ptr<CallPool> pool, std::shared_ptr<InflateGate> gate);

  // CallLink
  ANY_THREAD StartResult TryStart(OutboundCall& call, absl::Status* why) override;
  void StopStarting() LOOP_ONLY override;
  EventLoop& loop() const override { return frames_.loop(); }
  ConnectedPeer connected_peer() const override { return answers_.whole_peer(); }
  // CallCanceller
  ANY_THREAD void CancelCall(uint64_t id) override;
  // ConnectionGauge
  ANY_THREAD ConnectionVolume Volume() override;

  const std::string& peer() const { return frames_.peer(); }
  const TransportIdentity& peer_identity() const { return frames_.peer_identity(); }
  const SessionLimits& limits() const { return frames_.limits(); }

  // ---- its parts
  const std::shared_ptr<FrameOutput>& shared_frames() const { return shared_frames_; }
  FrameOutput& frames() { return frames_; }
  LinkStreams& streams() { return streams_; }
  AnswerSender& answers() { return answers_; }

  // ---- for the session
  // Who ends this side's calls, and who holds the peer's; null when the session has ended.
  void Attach(CallEnder* ender, InboundTable* inbound) LOOP_ONLY;
  void SetPeer(const PeerSettings& agreement) LOOP_ONLY;
  void Open(ConnectedPeer peer) LOOP_ONLY;
  // As StopStarting. Calls above `last_taken` are taken out: the peer will not execute them.
  OutboundCall* GoAway(uint64_t last_taken) LOOP_ONLY;
  // Every call under way; from now on there are none. `*written`: how much of the stream the kernel
  // took.
  OutboundCall* Close(uint64_t* written) LOOP_ONLY;
  // Takes calls out for their end; null where there is none (late, or unknown).
  OutboundCall* Take(uint64_t id) LOOP_ONLY;
  void TakeMany(const uint64_t* ids, OutboundCall** calls, size_t count) LOOP_ONLY;
  // A call of ours that stays until the loop takes it out, or null.
  OutboundCall* Find(uint64_t id) LOOP_ONLY;
  // The stream of a call of ours; null: the call has ended, or is no stream (`*call` is then true).
  // `*started`: it was started at all.
  std::shared_ptr<StreamPort> StreamOf(uint64_t id, bool* call, bool* started) LOOP_ONLY;
  // Whether that call was ever started.
  bool EverStarted(uint64_t id) LOOP_ONLY;
  size_t calls_under_way() LOOP_ONLY;
  // Calls of the peer that were answered so far.
  uint64_t answered() LOOP_ONLY;
  // Puts the deadlines of calls that other threads started into the wheel; says when to look again.
  MonoTime ArmDeadlines(DeadlineTarget* target) LOOP_ONLY;
  // For Volume: bytes read, and the peer's calls: how many were taken and the last number.
  void CountInput(uint64_t bytes, uint64_t taken, uint64_t last) LOOP_ONLY {
    input_.bytes.store(bytes, std::memory_order_relaxed);
    input_.taken.store(taken, std::memory_order_relaxed);
    input_.last.store(last, std::memory_order_relaxed);
  }
  void Trim() LOOP_ONLY;

 private:
  // What was read; written by the loop.
  struct Input {
    std::atomic<uint64_t> bytes{0}, taken{0}, last{0};
  };

  void SetState(State next) WEFT_REQUIRES(frames_.output().mutex());
  StartResult TryStartSlow(OutboundCall& call, OutMessage& out, absl::Status* why);
  // kPlain: OutboundCall::plain, and it fits into a frame. `pieces`: of one that does not; else
  // null.
  template <bool kPlain>
  StartResult SendRequest(OutboundCall& call, OutMessage& out, std::vector<MessagePiece>* pieces,
                          bool borrow, absl::Status* why);
  absl::Status CheckRequest(const OutboundCall& call, size_t size, const Metadata* metadata)
      WEFT_REQUIRES(frames_.output().mutex());
  void AskToLook();
  // It has ended, or goes to another link: its stream and what is left of its request, too.
  void Forget(uint64_t id, OutboundCall& call) WEFT_REQUIRES(frames_.output().mutex());

  // Fixed at construction.
  const std::shared_ptr<FrameOutput> shared_frames_;
  FrameOutput& frames_;
  DeadlineWheel& wheel_;
  const std::shared_ptr<CallPool> pool_;

  // Parts of any thread.
  LinkStreams streams_;
  AnswerSender answers_;

  // The loop's own.
  CallEnder* ender_ LOOP_OWNED = nullptr;

  Input input_;

  // Under the output's mutex.
  State state_ WEFT_GUARDED_BY(frames_.output().mutex()) = State::kOpening;
  OutboundCalls calls_ WEFT_GUARDED_BY(frames_.output().mutex());
  MethodNumbers methods_ WEFT_GUARDED_BY(frames_.output().mutex());
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_
