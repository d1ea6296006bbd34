// Sends the answers to the peer's calls on a native connection: the CallOrigin of those calls. A
// part of NativeLink; calls that are out keep the link alive through their origin.
//
//   handler, any thread:  SendInitialMetadata? ──► SendAnswer, once ──► written behind the rest
//   loop:                 OnCallReturned, when the call is back in its pool
//
// Threads  any; what is marked WEFT_LOOP_ONLY: the link's loop
// Owns     the count of answers, and the peer's name once known
// Errors   an answer that must not be sent goes out as the error with the reason
// Ends     after the session's end answers are dropped
#ifndef WEFT_RPC_PROTOCOL_NATIVE_ANSWER_SENDER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_ANSWER_SENDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/protocol/native/frame_output.h"
#include "weft/rpc/protocol/native/known_peer.h"

namespace weft::internal::native {

class InboundTable;

class AnswerSender final : public CallOrigin {
 public:
  // `frames` outlives it.
  explicit AnswerSender(FrameOutput& frames) : frames_(frames) {}

  // CallOrigin
  WEFT_ANY_THREAD void SendAnswer(InboundCall& call, const absl::Status& status,
                                  ReplyMessage* reply, bool more_soon) override;
  WEFT_ANY_THREAD bool SendInitialMetadata(InboundCall& call) override;
  void OnCallReturned(InboundCall& call) override;
  WEFT_ANY_THREAD void WatchDeadline(InboundCall& call) override;
  std::shared_ptr<CallLink> Link() override { return link_.lock(); }
  const std::string& peer() const override { return frames_.peer(); }
  const std::string& identity() const override { return known_peer_.identity(); }

  // ---- by the link and its session
  // The link for handlers' calls back to the peer. Set before the first call.
  void SetLink(std::weak_ptr<CallLink> link) { link_ = std::move(link); }
  void SetPeer(ConnectedPeer peer) WEFT_LOOP_ONLY { known_peer_.Set(std::move(peer)); }
  ConnectedPeer whole_peer() const { return known_peer_.whole(frames_.peer()); }
  // The table of the calls; null after the session's end.
  void Attach(InboundTable* inbound) WEFT_LOOP_ONLY { inbound_ = inbound; }
  // Number of the peer's calls answered so far. Under the output's mutex.
  uint64_t answered() const WEFT_NO_THREAD_ANALYSIS { return answered_; }
  // Ends a streaming call of the peer with an error from this side; the handler's answer is
  // dropped. False: it was answered already.
  bool Abort(InboundCall& call, const absl::Status& why) WEFT_LOOP_ONLY;
  // Drops the unsent rest of an answer whose caller has given up.
  void Drop(uint64_t id) WEFT_LOOP_ONLY;

 private:
  // An answer while it is made into a frame.
  struct Answer {
    explicit Answer(const absl::Status& status) : error(status) {}

    absl::Status error;
    ResponseHead head;
    OutMessage out;
    std::vector<MessagePiece> pieces;

    // Drops trailers over `limit` bytes, this side's or the peer's, and sets an error, unless there
    // is one already.
    void LimitTrailers(const FrameOutput& frames, size_t limit, bool of_peer);
  };

  // Prepares a large or compressed reply, or one with an attachment; or sets the error why it is
  // not sent.
  void PrepareSlow(InboundCall& call, ReplyMessage& reply, Answer* answer);
  absl::Status CheckReply(size_t size) WEFT_REQUIRES(frames_.output().mutex());
  void WriteBehind(const InboundCall& call, const Answer& answer)
      WEFT_REQUIRES(frames_.output().mutex());
  void GiveInputBack(InboundCall& call) WEFT_LOOP_ONLY;
  const Metadata* TakeInitialMetadata(InboundCall& call, absl::Status* error);

  // Fixed before the first call.
  FrameOutput& frames_;
  std::weak_ptr<CallLink> link_;
  KnownPeer known_peer_;

  // The loop's own.
  InboundTable* inbound_ WEFT_LOOP_OWNED = nullptr;

  // Under the output's mutex.
  uint64_t answered_ WEFT_GUARDED_BY(frames_.output().mutex()) = 0;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_ANSWER_SENDER_H_
