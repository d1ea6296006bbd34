#include "weft/rpc/call/stream_outbox.h"

namespace weft::internal {

bool StreamOutbox::WaitForRoom(StreamWake& wake) {
  // Room may have come between the writer's failed send and this wait: then there is no second
  // signal.
  if (std::exchange(room_signalled_, false) || state_ == State::kEnded) return false;
  writer_ = std::move(wake);
  return true;
}

StreamWake StreamOutbox::SignalRoom() {
  if (!writer_) room_signalled_ = true;
  return TakeWake(writer_);
}

// ---- sending kept messages

// The message is kept before it is sent. If the call loses its transport during the send, the copy
// goes to the next one with all others.
StreamSent StreamOutbox::BeginKept(const StreamMessage& message, bool last, KeptSend* send) {
  if (state_ == State::kEnded) return StreamSent::kEnded;
  if (!open()) return StreamSent::kBlocked;
  send->transport = transport_;
  send->message = message;
  send->last = last;
  send->added = sent_->Add(*message.message, message.attachment, last, &send->message.bytes);
  if (send->added) send->message.message = nullptr;
  send->turn = sent_->turn();
  sent_->Use();
  return StreamSent::kSent;
}

StreamSent StreamOutbox::EndKept(const KeptSend& send, StreamSent sent) {
  if (send.added && sent != StreamSent::kSent) {
    // The same transport still: the writer will write this message again, so the copy must go.
    // After a move the copy is sent with the others, and the writer must not write it again.
    if (sent_->turn() == send.turn) {
      sent_->TakeBack();
    } else if (sent != StreamSent::kRefused) {
      sent = StreamSent::kSent;  // the copy goes with the others
    }
  }
  sent_->Unuse();
  // The transport's kEnded leaves open if the call has ended or goes on elsewhere. Either wakes the
  // writer, so let it wait.
  return sent == StreamSent::kEnded ? StreamSent::kBlocked : sent;
}

StreamOutbox::Again StreamOutbox::NextAgain(KeptSend* send) {
  if (!sending_again()) return Again::kNothing;
  send->transport = transport_;
  SentMessages::Message next;
  if (!sent_->Next(&next)) return state_ == State::kHalfClosed ? Again::kHalfClose : Again::kDone;
  send->message = {.bytes = next.bytes, .attachment = next.attachment};
  send->last = next.last;
  send->turn = sent_->turn();
  sent_->Use();
  return Again::kMessage;
}

bool StreamOutbox::EndAgain(const KeptSend& send, StreamSent sent) {
  const bool same = sent_->turn() == send.turn;
  // After a move the position belongs to the next transport, which begins again with the first
  // message.
  if (same && sent == StreamSent::kSent) sent_->SentNext();
  sent_->Unuse();
  return same;
}

// ---- the call's transports

void StreamOutbox::KeepSent() { sent_ = std::make_unique<SentMessages>(); }

void StreamOutbox::StopKeeping() {
  if (sent_ != nullptr) sent_->Forget();
}

bool StreamOutbox::Unbind() {
  if (sent_ != nullptr && !sent_->Unbind()) return false;
  transport_.reset();
  return true;
}

void StreamOutbox::Bind(Transport transport) {
  transport_ = std::move(transport);
  if (sent_ != nullptr) sent_->Bind();
}

bool StreamOutbox::Open(const StreamTransport& transport, Transport* half_close) {
  if (transport_.get() != &transport) return false;
  if (sent_ != nullptr) return sent_->Open();  // a half-close goes behind what is sent again
  if (state_ == State::kHalfClosed) *half_close = transport_;
  return true;
}

}  // namespace weft::internal
