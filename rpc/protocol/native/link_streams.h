// The streams of a native connection, for both sides' calls: the StreamTransport of their ports. A
// part of NativeLink.
//
//   writer:  SendMessage ──► kSent, or kBlocked: parked ──► room, credit ──► StreamPort::OnRoom
//   reader:  ReturnCredit ──► WINDOW frames, when a share of a window has been read
//
// Threads  any; what is marked WEFT_LOOP_ONLY: the link's loop
// Owns     the credit of the connection's streams
// Errors   SendMessage: kRefused with the reason, kEnded once the stream or the connection is over
// Ends     LetGo for each stream of a call of ours, Close with the connection
#ifndef WEFT_RPC_PROTOCOL_NATIVE_LINK_STREAMS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_LINK_STREAMS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/call/stream_transport.h"
#include "weft/rpc/protocol/native/frame_output.h"
#include "weft/rpc/protocol/native/native_stream.h"
#include "weft/rpc/protocol/native/stream_credit.h"

namespace weft::internal::native {

class LinkStreams final : public StreamTransport, public RoomWaiter {
 public:
  // `frames` must outlive this.
  LinkStreams(FrameOutput& frames, std::shared_ptr<InflateGate> gate);

  InflateGate& gate() const { return *gate_; }

  // StreamTransport
  WEFT_ANY_THREAD StreamSent SendMessage(StreamPort& port, const StreamMessage& message, bool last,
                                         bool gather, absl::Status* why) override;
  WEFT_ANY_THREAD void SendHalfClose(StreamPort& port) override;
  WEFT_ANY_THREAD void ReturnCredit(StreamPort& port, size_t bytes) override;
  WEFT_ANY_THREAD bool HasRoom(StreamPort& port) override;
  WEFT_ANY_THREAD const Log* log() const override { return &frames_.loop().log(); }

  // ---- by the link, under the output's mutex
  void SetWindow(const PeerSettings& agreement);
  // Opens the stream of a call of this side, whose request is being written. `self`: keeps this
  // alive.
  void Open(const OutboundCall& call, const RequestHead& head,
            std::shared_ptr<StreamTransport> self);
  // Lets a stream of this side's call go: it has ended, or moves to another link.
  void LetGo(StreamPort& port);
  // Takes all waiting ports at the connection's end. Release them without the mutex: the last
  // reference may be here.
  [[nodiscard]] StreamCredit::Ports Close();

  // ---- by the session
  // Opens the stream of a call of the peer. `self`: keeps this alive.
  void OpenInbound(InboundCall& call, StreamPort& port, MethodKind kind,
                   std::shared_ptr<StreamTransport> self) WEFT_LOOP_ONLY;
  // Adds credit for one stream, or for all together. False: more than possible.
  bool AddCredit(StreamPort& port, uint32_t bytes) WEFT_LOOP_ONLY;
  bool AddConnectionCredit(uint32_t bytes) WEFT_LOOP_ONLY;
  // Charges the peer; false: it has sent more than it had credit for.
  bool Charge(size_t cost) { return credit_.Charge(cost); }
  // Returns the credit of a message that nobody reads.
  void ReturnConnectionCredit(size_t bytes) WEFT_LOOP_ONLY;

  // RoomWaiter. Tells ports that have room, or will never have any.
  void OnRoom() override;

 private:
  // Credit to send, and room in the output.
  bool RoomFor(const StreamPort& port) WEFT_REQUIRES(frames_.output().mutex());
  void Park(StreamPort& port) WEFT_REQUIRES(frames_.output().mutex());
  void AwaitRoom(const StreamPort& port) WEFT_REQUIRES(frames_.output().mutex());
  // True if the stream belongs to this link, and not to an earlier or later one.
  bool Carries(const StreamPort& port) WEFT_REQUIRES(frames_.output().mutex()) {
    return port.slot().OwnedBy(this);
  }
  // True if the stream may send messages, now or later.
  bool Sends(const StreamPort& port) WEFT_REQUIRES(frames_.output().mutex()) {
    return Carries(port) && NativeStream::Of(port).open && !frames_.output().closed();
  }
  // Checks and prepares a message without the mutex. kSent: `out` is ready to be written.
  StreamSent Prepare(StreamPort& port, const StreamMessage& message, OutMessage* out,
                     std::vector<MessagePiece>* pieces, absl::Status* why);
  bool BeginMessages(NativeStream& stream, absl::Status* why)
      WEFT_REQUIRES(frames_.output().mutex());
  void MessageBehind(const StreamMessageHead& head, OutMessage& out,
                     std::vector<MessagePiece>& pieces) WEFT_REQUIRES(frames_.output().mutex());
  void GiveBack(size_t bytes) WEFT_REQUIRES(frames_.output().mutex());

  // Fixed at construction.
  FrameOutput& frames_;
  const std::shared_ptr<InflateGate> gate_;

  // Under the output's mutex; Charge without it.
  StreamCredit credit_;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_LINK_STREAMS_H_
