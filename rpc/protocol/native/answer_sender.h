// The answers to the peer's calls on a native connection, as those see it who answer.
//
//   handler, any thread:  SendInitialMetadata? ──► SendAnswer, once ──► written behind the rest
//   loop:                 OnCallReturned, when the call is back in its pool
//
// Threads  any; what is marked LOOP_ONLY: the link's loop
// Owns     the count of answers, the peer's name once it is known
// Errors   an answer that must not be sent goes out as the error that says why
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

namespace weft::native {

class InboundTable;

class AnswerSender final : public CallOrigin {
 public:
  // `frames` outlives it.
  explicit AnswerSender(FrameOutput& frames) : frames_(frames) {}

  // CallOrigin
  ANY_THREAD void SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage* reply,
                             bool more_soon) override;
  ANY_THREAD bool SendInitialMetadata(InboundCall& call) override;
  void OnCallReturned(InboundCall& call) override;
  ANY_THREAD void WatchDeadline(InboundCall& call) override;
  std::shared_ptr<CallLink> Link() override { return link_.lock(); }
  const std::string& peer() const override { return frames_.peer(); }
  const std::string& identity() const override { return known_peer_.identity(); }

  // ---- by the link and its session
  // Over which handlers call back. Before the first call.
  void SetLink(std::weak_ptr<CallLink> link) { link_ = std::move(link); }
  void SetPeer(ConnectedPeer peer) LOOP_ONLY { known_peer_.Set(std::move(peer)); }
  ConnectedPeer whole_peer() const { return known_peer_.whole(); }
  // Who holds the calls; null: nobody does any more.
  void Attach(InboundTable* inbound) LOOP_ONLY { inbound_ = inbound; }
  // Calls of the peer that were answered so far. Under the output's mutex.
  uint64_t answered() const WEFT_NO_THREAD_ANALYSIS { return answered_; }
  // Ends a streaming call of the peer with an error of this side's; its handler's answer is for
  // nobody then. False: it has been answered.
  bool Abort(InboundCall& call, const absl::Status& why) LOOP_ONLY;
  // What is left of the answer to a call that its caller has given up is not sent.
  void Drop(uint64_t id) LOOP_ONLY;

 private:
  // An answer on its way into a frame.
  struct Answer {
    absl::Status error;
    ResponseHead head;
    OutMessage out;
    std::vector<MessagePiece> pieces;

    // Trailers of more than so many bytes are an error, unless there is one already.
    void LimitTrailers(size_t limit, std::string_view setting);
  };

  // Makes a reply ready that is large, compressed or has an attachment, or an error that says why
  // it is not to be sent.
  void PrepareSlow(InboundCall& call, ReplyMessage& reply, Answer* answer);
  absl::Status CheckReply(size_t size) WEFT_REQUIRES(frames_.output().mutex());
  void WriteBehind(const InboundCall& call, const Answer& answer)
      WEFT_REQUIRES(frames_.output().mutex());
  const Metadata* TakeInitialMetadata(InboundCall& call, absl::Status* error);

  // Fixed before the first call.
  FrameOutput& frames_;
  std::weak_ptr<CallLink> link_;
  KnownPeer known_peer_{frames_.peer()};

  // The loop's own.
  InboundTable* inbound_ LOOP_OWNED = nullptr;

  // Under the output's mutex.
  uint64_t answered_ WEFT_GUARDED_BY(frames_.output().mutex()) = 0;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_ANSWER_SENDER_H_
