// The sending half of a stream: how far its writer has come, the transport that takes its messages,
// and the writer that waits for room.
//
//   kWriting ──HalfClose──► kHalfClosed
//   kWriting ──its last message has gone──► kLastSent
//   kWriting, kHalfClosed, kLastSent ──End──► kEnded
//
// kWriting: messages may be written. kHalfClosed: nothing more is, and the other side is told so by
// a half-close of its own, on the next transport again. kLastSent: the last message has told it.
// kEnded: the call is over.
//
// A caller's stream whose call may go to another server keeps what it sends (sent_messages.h). When
// the call has lost its transport (Unbind), the writer waits; the next one is sent what was kept
// before anything new.
//
// A member of StreamPort.
//
// Threads  value; its stream's mutex guards it
// Owns     what is kept; its share of the transport
// Ends     in kEnded; after that nothing is sent
#ifndef WEFT_RPC_CALL_STREAM_OUTBOX_H_
#define WEFT_RPC_CALL_STREAM_OUTBOX_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "weft/core/check.h"
#include "weft/rpc/call/sent_messages.h"
#include "weft/rpc/call/stream_transport.h"
#include "weft/rpc/call/stream_wake.h"

namespace weft::internal {

class StreamOutbox {
 public:
  enum class State : uint8_t { kWriting, kHalfClosed, kLastSent, kEnded };
  static constexpr bool MayGo(State from, State to) {
    return to == State::kEnded ? from != State::kEnded
                               : from == State::kWriting && to != State::kWriting;
  }

  using Transport = std::shared_ptr<StreamTransport>;

  // A message that is kept, while it is on its way. Its bytes stay where they are until the send is
  // ended.
  struct KeptSend {
    Transport transport;
    StreamMessage message;
    bool last = false;
    bool added = false;  // by this send: it was not kept before
    uint32_t turn = 0;   // how often the call had lost its transport when it set out
  };
  enum class Again : uint8_t {
    kNothing,    // nothing is to be sent again, or not by this thread
    kMessage,    // the next message
    kHalfClose,  // all messages have gone; a half-close goes behind them
    kDone,       // all have gone: the writer may go on
  };

  State state() const { return state_; }

  // ---- by the writer
  // kSent: a message may go to `*transport` now. If it `*keeps`, the message goes by BeginKept.
  StreamSent CheckWritable(Transport* transport, bool* keeps) const {
    if (state_ != State::kWriting) return StreamSent::kEnded;
    if (!open()) return StreamSent::kBlocked;
    *transport = transport_;
    *keeps = sent_ != nullptr && sent_->keeps();
    return StreamSent::kSent;
  }
  // The stream's last message has gone.
  void SetLastSent() {
    if (state_ == State::kWriting) set_state(State::kLastSent);
  }
  // Returns the transport to be told now. Null: the stream is over, or the transport is told when
  // it opens.
  [[nodiscard]] Transport HalfClose() {
    if (state_ != State::kWriting) return nullptr;
    set_state(State::kHalfClosed);
    return open() ? transport_ : nullptr;
  }
  // Waits until there is room, or the call has ended. False: it need not wait, and `wake` is left
  // alone.
  bool WaitForRoom(StreamWake& wake);
  StreamWake StopWaitingForRoom() { return TakeWake(writer_); }

  // ---- sending kept messages
  // kSent: `*send` is to be sent, and then EndKept is called with the result, whatever it is.
  StreamSent BeginKept(const StreamMessage& message, bool last, KeptSend* send);
  StreamSent EndKept(const KeptSend& send, StreamSent sent);
  // kMessage: `*send` is to be sent, and then EndAgain is called.
  Again NextAgain(KeptSend* send);
  // False: the call has lost its transport meanwhile.
  bool EndAgain(const KeptSend& send, StreamSent sent);

  // ---- by the starter of the call
  // The call may have to go to another server: messages are kept from here on.
  void KeepSent();
  // The call stays where it is: nothing is kept any more.
  void StopKeeping();
  // The call is to go to another transport; false: too much was sent for that.
  bool Unbind();

  // ---- by the transport
  void Bind(Transport transport);
  // The call has been sent. False: on another transport, or it is lost meanwhile. `*half_close`:
  // the transport to be told now; null: none.
  bool Open(const StreamTransport& transport, Transport* half_close);
  // Kept messages are still being sent: they go before the writer's next one.
  bool sending_again() const { return sent_ != nullptr && sent_->sending_again(); }
  // There is room. Returns the writer. If none waits, the next wait returns at once.
  [[nodiscard]] StreamWake SignalRoom();
  // The call is over. Returns the writer, if one waits.
  [[nodiscard]] StreamWake End() {
    if (state_ != State::kEnded) set_state(State::kEnded);
    return TakeWake(writer_);
  }

 private:
  void set_state(State to) {
    WEFT_DCHECK(MayGo(state_, to));
    state_ = to;
  }
  // New messages may go to the transport.
  bool open() const { return transport_ != nullptr && (sent_ == nullptr || sent_->open()); }

  State state_ = State::kWriting;
  bool room_signalled_ = false;  // while nobody waited
  Transport transport_;
  std::unique_ptr<SentMessages> sent_;  // null: nothing is kept
  StreamWake writer_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_STREAM_OUTBOX_H_
