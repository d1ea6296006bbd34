// One native connection, as starters of calls see it: numbers calls, writes their requests and
// cancels them. NativeSession makes it; callers and handlers may keep it longer than the session.
//
//   kOpening ──Open──► kUp
//   kOpening, kUp ──StopStarting, GoAway──► kGoingAway
//   kOpening, kUp, kGoingAway ──Close──► kClosed
//
// Calls start in kUp only.
//
// All is guarded by the output's mutex, because numbers must rise in the order of the requests in
// the stream.
//
//   FrameOutput ◄── LinkStreams   messages of streams, credit
//               ◄── AnswerSender  answers to the peer's calls
//               ◄── NativeLink    requests; OutboundCalls, MethodNumbers
//
// Threads  any; what is marked WEFT_LOOP_ONLY: the session's loop
// Owns     the table of this side's calls, which belong to their starters; the output, the streams
//          and the answers, each a part of its own
// Errors   TryStart returns why a call was not started
// Ends     after the session's end every call has been completed, and TryStart returns kGone
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
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
#include "weft/rpc/protocol/native/ping_times.h"

namespace weft::internal::native {

class CallEnder;
class InboundTable;

class NativeLink final : public CallLink,
                         public ConnectionGauge,
                         public std::enable_shared_from_this<NativeLink> {
 public:
  enum class State : uint8_t { kOpening, kUp, kGoingAway, kClosed };
  static constexpr bool MayGo(State from, State to) { return from < to; }

  // `pool`: kept alive for the peer's calls that are out.
  static std::shared_ptr<NativeLink> Make(std::shared_ptr<FrameOutput> frames, DeadlineWheel& wheel,
                                          std::shared_ptr<CallPool> pool,
                                          std::shared_ptr<InflateGate> gate);
  NativeLink(std::shared_ptr<FrameOutput> frames, DeadlineWheel& wheel,
             std::shared_ptr<CallPool> pool, std::shared_ptr<InflateGate> gate);

  // CallLink
  WEFT_ANY_THREAD StartResult TryStart(OutboundCall& call, absl::Status* why) override;
  WEFT_ANY_THREAD void AwaitRoom(size_t size, std::weak_ptr<RoomObserver> observer) override;
  WEFT_ANY_THREAD bool IsUnderWay(std::string_view method) override;
  void StopStarting() WEFT_LOOP_ONLY override;
  EventLoop& loop() const override { return frames_.loop(); }
  ConnectedPeer connected_peer() const override { return answers_.whole_peer(); }
  // CallCanceller
  WEFT_ANY_THREAD void CancelCall(uint64_t id) override;
  // ConnectionGauge
  WEFT_ANY_THREAD ConnectionVolume Volume() override;
  WEFT_ANY_THREAD PeerTiming Timing() override;

  const std::string& peer() const { return frames_.peer(); }
  const TransportIdentity& peer_identity() const { return frames_.peer_identity(); }
  const SessionLimits& limits() const { return frames_.limits(); }

  // ---- its parts
  const std::shared_ptr<FrameOutput>& shared_frames() const { return shared_frames_; }
  FrameOutput& frames() { return frames_; }
  LinkStreams& streams() { return streams_; }
  AnswerSender& answers() { return answers_; }

  // ---- for the session
  // Sets the object that ends this side's calls and the table of the peer's; null after the
  // session's end.
  void Attach(CallEnder* ender, InboundTable* inbound) WEFT_LOOP_ONLY;
  void SetPeer(const PeerSettings& agreement) WEFT_LOOP_ONLY;
  void Open(ConnectedPeer peer) WEFT_LOOP_ONLY;
  // StopStarting, and takes out calls above `last_taken`: the peer will not execute them.
  OutboundCall* GoAway(uint64_t last_taken) WEFT_LOOP_ONLY;
  // GoAway's calls have been ended or sent elsewhere.
  void OnGivenBack() WEFT_LOOP_ONLY;
  // Closes the link and takes out every call under way. `*written`: bytes of the stream that the
  // kernel took.
  OutboundCall* Close(uint64_t* written) WEFT_LOOP_ONLY;
  // Takes calls out to end them; null: late or unknown.
  OutboundCall* Take(uint64_t id) WEFT_LOOP_ONLY;
  void TakeMany(const uint64_t* ids, OutboundCall** calls, size_t count) WEFT_LOOP_ONLY;
  // A call of this side, valid until the loop takes it out; null: none.
  OutboundCall* Find(uint64_t id) WEFT_LOOP_ONLY;
  // The stream of a call of this side; null: the call has ended, or has no stream (`*call` is then
  // true). `*started`: the call was started at all.
  std::shared_ptr<StreamPort> StreamOf(uint64_t id, bool* call, bool* started) WEFT_LOOP_ONLY;
  // True if a call with this number was ever started.
  bool EverStarted(uint64_t id) WEFT_LOOP_ONLY;
  // Puts deadlines of calls started by other threads into the wheel; returns when to look again.
  MonoTime ArmDeadlines(DeadlineTarget* target) WEFT_LOOP_ONLY;
  // For Volume: bytes read, the number of the peer's calls so far, and the last one's number.
  void CountInput(uint64_t bytes, uint64_t taken, uint64_t last) WEFT_LOOP_ONLY {
    input_.bytes.store(bytes, std::memory_order_relaxed);
    input_.taken.store(taken, std::memory_order_relaxed);
    input_.last.store(last, std::memory_order_relaxed);
  }
  // For Timing: a PING was answered. `body`: of the answer's frame.
  void CountPong(Nanos round_trip, std::string_view body) WEFT_LOOP_ONLY;
  void Trim() WEFT_LOOP_ONLY;

 private:
  // Input counters, written by the loop.
  struct Input {
    std::atomic<uint64_t> bytes{0}, taken{0}, last{0};
  };

  void SetState(State next) WEFT_REQUIRES(frames_.output().mutex());
  StartResult TryStartSlow(OutboundCall& call, OutMessage& out, absl::Status* why);
  // kPlain: OutboundCall::plain, and the request fits into a frame. `pieces`: of a request that
  // does not fit; else null.
  template <bool kPlain>
  StartResult SendRequest(OutboundCall& call, OutMessage& out, std::vector<MessagePiece>* pieces,
                          bool borrow, absl::Status* why);
  void AskToLook();
  // Drops the stream and the unsent rest of a call that has ended or moves to another link.
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
  CallEnder* ender_ WEFT_LOOP_OWNED = nullptr;

  Input input_;

  // Under the output's mutex.
  State state_ WEFT_GUARDED_BY(frames_.output().mutex()) = State::kOpening;
  bool giving_back_ WEFT_GUARDED_BY(frames_.output().mutex()) = false;  // true until OnGivenBack
  OutboundCalls calls_ WEFT_GUARDED_BY(frames_.output().mutex());
  MethodNumbers methods_ WEFT_GUARDED_BY(frames_.output().mutex());
  PingTimes pings_ WEFT_GUARDED_BY(frames_.output().mutex());
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_LINK_H_
