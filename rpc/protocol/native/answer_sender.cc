#include "weft/rpc/protocol/native/answer_sender.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/native_stream.h"

namespace weft::internal::native {

void AnswerSender::Answer::LimitTrailers(const FrameOutput& frames, size_t limit, bool of_peer) {
  if (head.metadata == nullptr || head.metadata->WireSize() <= limit) return;
  if (error.ok()) {
    error = Errors::TooLarge(
        "the reply's metadata", head.metadata->WireSize(), limit,
        of_peer ? Errors::PeerSetting(frames.end, "max_metadata_bytes", Side::kServer)
                : Errors::OwnSetting(frames.end, "max_metadata_bytes", Side::kServer));
  }
  head.metadata = nullptr;
}

void AnswerSender::SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage* reply,
                              bool more_soon) {
  Answer answer(status);
  ResponseHead& head = answer.head;
  // Initial metadata to write before the answer, for a unary call or a stream that sent no message.
  const Metadata* first = nullptr;
  bool begins = call.stream != nullptr;
  if (!call.initial_metadata().pairs.empty()) {
    first = TakeInitialMetadata(call, &answer.error);
    begins = true;
  }
  head.id = call.id.load(std::memory_order_relaxed);
  head.metadata = call.trailers().empty() ? nullptr : &call.trailers();
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(call.answered - call.received).count();
  // The field has 32 bits: a longer time is told as the longest.
  head.handler_us = static_cast<uint32_t>(std::clamp<int64_t>(took, 0, UINT32_MAX));
  // LimitTrailers keeps an earlier error: the handler's own error matters more than its trailers.
  if (head.metadata != nullptr) {
    answer.LimitTrailers(frames_, std::min(frames_.limits().max_metadata_bytes, kMaxMetadata),
                         /*of_peer=*/false);
  }
  OutMessage& out = answer.out;
  if (answer.error.ok() && reply != nullptr) {
    out.size = reply->size();
    if (call.reply_attachment().empty() && !Compresses(call.reply_codec, out.size) &&
        out.size <= frames_.limits().max_message_bytes &&
        out.size + FrameWriter::Overhead(head) <= kMinFrame - kHeaderSize) {
      out.message = &reply->message();
    } else {
      PrepareSlow(call, *reply, &answer);
    }
  }
  MutexLock lock(frames_.output().mutex());
  // Counted under the mutex, before the client can see the answer and send the next call: max_calls
  // must not refuse that one.
  ++answered_;
  if (head.metadata != nullptr) {
    answer.LimitTrailers(frames_, frames_.settings().max_metadata, /*of_peer=*/true);
  }
  if (answer.error.ok() &&
      (out.size > frames_.settings().max_message || !frames_.HasRoom(out.size))) {
    answer.error = CheckReply(out.size);
  }
  if (begins) {
    if (call.stream != nullptr) {
      // From here on a late SendMessage or Abort finds the stream closed.
      NativeStream& stream = NativeStream::Of(*call.stream);
      stream.open = false;
      stream.over = true;
    }
    if (first != nullptr && !call.aborted.load(std::memory_order_relaxed)) {
      frames_.Writer().Headers(head.id, *first);
    }
  }
  if (call.aborted.load(std::memory_order_relaxed)) {
    // Abort has already written the error.
  } else if (frames_.Fragmented({head.id, true})) {
    WriteBehind(call, answer);
  } else if (answer.error.ok()) {
    const PieceCursor rest = frames_.Writer().Response(head, out);
    if (rest.left > 0) frames_.AddFragments({head.id, true}, rest, out, answer.pieces);
  } else {
    frames_.Writer().Error(head, answer.error, call.refused());
  }
  // Written at once while it is in the cache; small answers of one turn go out together.
  const bool large = frames_.Waiting() >= FrameOutput::kWriteAtOnce;
  frames_.Flush(lock, frames_.output().Claim(), more_soon || frames_.loop().InLoop(), large);
}

void AnswerSender::PrepareSlow(InboundCall& call, ReplyMessage& reply, Answer* answer) {
  const google::protobuf::MessageLite& message = reply.message();
  OutMessage& out = answer->out;
  std::vector<MessagePiece>& pieces = answer->pieces;
  BlockPool& blocks = frames_.loop().blocks();
  const size_t most = std::min(frames_.limits().max_message_bytes, MessageCodec::kMax);
  const absl::Cord& attachment = call.reply_attachment();
  if (out.size > most) {
    answer->error =
        Errors::TooLarge("the reply", out.size, most,
                         Errors::OwnSetting(frames_.end, "max_message_bytes", Side::kServer));
  } else if (!attachment.empty() || Compresses(call.reply_codec, out.size)) {
    answer->error =
        // Not shared: what is compressed, or has an attachment behind it, is sent from bytes of its
        // own.
        MessageCodec::Pieces(message, out.size, /*share=*/false, &pieces, &blocks)
            ? frames_.Transform(call.reply_codec, &attachment, /*of_stream=*/false, &out, &pieces)
            : MessageCodec::NoMemory("the reply", out.size);
  } else {
    if (!MessageCodec::Pieces(message, out.size, /*share=*/true, &pieces, &blocks)) {
      answer->error = MessageCodec::NoMemory("the reply", out.size);
    }
    out.pieces = &pieces;
    size_t shared = 0;
    for (const MessagePiece& piece : pieces) shared += piece.block ? 0 : piece.size;
    // Pieces by reference stay valid until the queue has let go of them.
    if (shared > 0) out.keeper = reply.Keep(shared);
  }
}

// Returns why a reply must not be sent, or OK.
absl::Status AnswerSender::CheckReply(size_t size) {
  if (size > frames_.settings().max_message) {
    return Errors::TooLarge("the reply", size, frames_.settings().max_message,
                            Errors::PeerSetting(frames_.end, "max_message_bytes", Side::kServer));
  }
  return frames_.CheckRoom(Side::kServer, size);
}

// Writes the answer behind a stream's last message, which is still in the fragment queue. The
// answer has no message of its own.
void AnswerSender::WriteBehind(const InboundCall& call, const Answer& answer) {
  const ResponseHead& head = answer.head;
  frames_.SendBehind({head.id, true}, kHeaderSize,
                     [own = head, error = answer.error,
                      trailers = head.metadata != nullptr ? *head.metadata : Metadata(),
                      refused = call.refused()](FrameWriter& writer) mutable {
                       own.metadata = &trailers;
                       if (error.ok()) {
                         writer.Response(own, OutMessage());
                       } else {
                         writer.Error(own, error, refused);
                       }
                       return FragmentQueue::Rest();
                     });
}

// Takes the initial metadata to write before the answer; null: none. A handler's own error is
// reported before one about this metadata. A peer without this feature gets the pairs among the
// trailers.
const Metadata* AnswerSender::TakeInitialMetadata(InboundCall& call, absl::Status* error) {
  InitialMetadata& initial = call.initial_metadata();
  MutexLock lock(frames_.output().mutex());
  if (initial.sent) return nullptr;
  if (!frames_.settings().initial_metadata) {
    initial.pairs.Append(call.trailers());
    std::swap(initial.pairs, call.trailers());
    initial.sent = true;
    return nullptr;
  }
  if (absl::Status s = frames_.CheckInitialMetadata(initial.pairs); !s.ok()) {
    if (error->ok()) *error = std::move(s);
    return nullptr;
  }
  initial.sent = true;
  return &initial.pairs;
}

bool AnswerSender::SendInitialMetadata(InboundCall& call) {
  InitialMetadata& initial = call.initial_metadata();
  bool claimed;
  {
    MutexLock lock(frames_.output().mutex());
    if (initial.sent || !frames_.settings().initial_metadata || frames_.output().closed()) {
      return false;
    }
    if (call.aborted.load(std::memory_order_relaxed)) return false;
    // The answer reports the error.
    if (!frames_.CheckInitialMetadata(initial.pairs).ok()) return false;
    initial.sent = true;
    frames_.Writer().Headers(call.id.load(std::memory_order_relaxed), initial.pairs);
    claimed = frames_.output().Claim();
  }
  frames_.Flush(claimed, /*gather=*/frames_.loop().InLoop(), false);
  return true;
}

void AnswerSender::OnCallReturned(InboundCall& call) {
  frames_.loop().AssertInLoop();
  if (ABSL_PREDICT_FALSE(call.input_held > 0)) GiveInputBack(call);
  // Null: the session has ended, and its tables with it. The call comes back all the same.
  if (inbound_ != nullptr) inbound_->OnCallReturned(call);
}

ABSL_ATTRIBUTE_NOINLINE void AnswerSender::GiveInputBack(InboundCall& call) {
  frames_.input().Remove(std::exchange(call.input_held, 0));
}

void AnswerSender::WatchDeadline(InboundCall& call) {
  // By number, not by reference: the call may be answered, and its object may serve another one,
  // before the task runs.
  frames_.loop().Post(
      [origin = call.origin, this, id = call.id.load(std::memory_order_relaxed)](TaskFate fate) {
        if (fate == TaskFate::kCancelled) return;
        frames_.loop().AssertInLoop();
        if (inbound_ != nullptr) inbound_->WatchDeadline(id);
      });
}

bool AnswerSender::Abort(InboundCall& call, const absl::Status& why) {
  const uint64_t id = call.id.load(std::memory_order_relaxed);
  {
    MutexLock lock(frames_.output().mutex());
    // SendAnswer or this function sets `over` first, under the mutex: exactly one of them ends the
    // call.
    if (std::exchange(NativeStream::Of(*call.stream).over, true)) return false;
    call.aborted.store(true, std::memory_order_relaxed);
    frames_.DropFragments({id, true});
  }
  // After the mutex, which SendError takes. Nothing can come in between: `over` keeps SendAnswer
  // and messages out.
  frames_.SendError(id, why, /*not_executed=*/false);
  return true;
}

void AnswerSender::Drop(uint64_t id) {
  MutexLock lock(frames_.output().mutex());
  frames_.DropFragments({id, true});
}

}  // namespace weft::internal::native
