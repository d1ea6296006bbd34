#include "weft/rpc/protocol/native/native_link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {
namespace {

constexpr Nanos kLongestLook = std::chrono::seconds(1);
constexpr Nanos kShortestLook = std::chrono::milliseconds(1);

}  // namespace

NativeLink::NativeLink(std::shared_ptr<EventLoop> loop, DeadlineWheel& wheel,
                       std::shared_ptr<CallPool> pool, std::unique_ptr<Transport> transport,
                       std::string peer, std::shared_ptr<const SessionLimits> limits,
                       std::shared_ptr<InflateGate> gate, InputBudgets input)
    : ConnectionHandle(std::move(loop), std::move(transport), std::move(peer), std::move(input)),
      wheel_(wheel),
      pool_(std::move(pool)),
      limits_(std::move(limits)),
      gate_(std::move(gate)),
      unchecked_output_(std::min(limits_->MaxOutput(), OutputBudget::kStep)),
      receive_credit_(static_cast<int64_t>(Handshake::ConnectionWindow(*limits_))) {}

void NativeLink::SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage* reply,
                            bool more_soon) {
  absl::Status error = status;
  // Of a call that is no stream, or whose stream has had no message.
  const Metadata* first = nullptr;
  bool begins = call.stream != nullptr;
  if (!call.initial_metadata().pairs.empty()) {
    first = TakeInitialMetadata(call, &error);
    begins = true;
  }
  ResponseHead head;
  head.id = call.id.load(std::memory_order_relaxed);
  head.metadata = call.trailers().empty() ? nullptr : &call.trailers();
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(call.answered - call.received).count();
  head.handler_us = static_cast<uint32_t>(std::clamp<int64_t>(took, 0, UINT32_MAX));
  OutMessage out;
  std::vector<MessagePiece> pieces;
  // What the handler's own error says goes before its trailers.
  const auto check_trailers = [&head, &error](size_t limit, std::string_view setting) {
    if (head.metadata == nullptr || head.metadata->WireSize() <= limit) return;
    if (error.ok())
      error = TooLarge("the reply's metadata", head.metadata->WireSize(), limit, setting);
    head.metadata = nullptr;
  };
  check_trailers(std::min(limits_->max_metadata_bytes, kMaxMetadata),
                 "max_metadata_bytes of the server");
  if (error.ok() && reply != nullptr) {
    const google::protobuf::MessageLite& message = reply->message();
    out.size = reply->size();
    if (out.size > limits_->max_message_bytes || out.size > MessageCodec::kMax) {
      error =
          TooLarge("the reply", out.size, std::min(limits_->max_message_bytes, MessageCodec::kMax),
                   "max_message_bytes of the server");
    } else if (const absl::Cord& attachment = call.reply_attachment();
               !attachment.empty() || Compresses(call.reply_codec, out.size)) {
      error = MessageCodec::Pieces(message, out.size, /*share=*/false, &pieces, &loop().blocks())
                  ? Transform(call.reply_codec, &attachment, /*of_stream=*/false, &out, &pieces)
                  : MessageCodec::NoMemory("the reply", out.size);
    } else if (out.size + FrameWriter::Overhead(head) > kMinFrame - kHeaderSize) {
      if (!MessageCodec::Pieces(message, out.size, /*share=*/true, &pieces, &loop().blocks())) {
        error = MessageCodec::NoMemory("the reply", out.size);
      }
      out.pieces = &pieces;
      size_t shared = 0;
      for (const MessagePiece& piece : pieces) shared += piece.block ? 0 : piece.size;
      if (shared > 0) out.keeper = reply->Keep(shared);
    } else {
      out.message = &message;
    }
  }
  {
    MutexLock lock(output().mutex());
    FrameWriter writer(output(), std::max(peer_limits_.max_frame, kMinFrame));
    ++answered_;
    check_trailers(peer_limits_.max_metadata, "max_metadata_bytes of the client");
    if (error.ok() &&
        (out.size > peer_limits_.max_message || Waiting() + out.size > unchecked_output_)) {
      error = CheckReply(out.size);
    }
    if (begins) {
      if (call.stream != nullptr) {
        NativeStream& stream = NativeStream::Of(*call.stream);
        stream.open = false;
        stream.over = true;
      }
      if (first != nullptr && !call.aborted.load(std::memory_order_relaxed)) {
        WriteHeaders(head.id, *first);
      }
    }
    if (call.aborted.load(std::memory_order_relaxed)) {
      // The session has said how it ended.
    } else if (fragments_.Contains({head.id, true})) {
      AnswerBehind(call, head, error);
    } else if (error.ok()) {
      const PieceCursor rest = writer.Response(head, out);
      if (rest.left > 0) AddFragments(head.id, /*reply=*/true, rest, out, pieces);
    } else {
      writer.Error(head, error, call.refused());
    }
    const bool large = Waiting() >= kWriteAtOnce;
    Flush(lock, output().Claim(), more_soon || loop().InLoop(), large);
  }
}

// Why a reply must not be sent, or OK.
absl::Status NativeLink::TooLarge(std::string_view what, size_t size, size_t limit,
                                  std::string_view setting) {
  return absl::ResourceExhaustedError(absl::StrCat(
      absl::string_view(what.data(), what.size()), " of ", size, " bytes is over the limit of ",
      limit, " (", absl::string_view(setting.data(), setting.size()), ")"));
}

absl::Status NativeLink::CheckReply(size_t size) {
  if (size > peer_limits_.max_message)
    return TooLarge("the reply", size, peer_limits_.max_message, "max_message_bytes of the client");
  if (Waiting() > 0 && Waiting() + size > limits_->MaxOutput()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("server side: ", Waiting(), " bytes wait to be written to ", peer(),
                     ", with the reply's ", size, " more than the limit of ", limits_->MaxOutput(),
                     " (max_output_bytes of the server)"));
  }
  return output().CheckBudget(size, "server side", "the reply's");
}

// A stream whose last message is still on its way: the answer, without a message, follows it.
void NativeLink::AnswerBehind(InboundCall& call, const ResponseHead& head,
                              const absl::Status& error) {
  SendBehind({head.id, true}, kHeaderSize,
             [own = head, error, trailers = head.metadata != nullptr ? *head.metadata : Metadata(),
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

void NativeLink::OnCallReturned(InboundCall& call) {
  loop().AssertInLoop();
  if (call.input_held > 0) input().Remove(std::exchange(call.input_held, 0));
  if (session_ != nullptr) session_->OnCallReturned(call);
}

void NativeLink::WatchDeadline(InboundCall& call) {
  loop().Post([self = shared_from_this(), this,
               id = call.id.load(std::memory_order_relaxed)](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop().AssertInLoop();
    if (session_ != nullptr) session_->WatchInboundDeadline(id);
  });
}

void NativeLink::CancelCall(uint64_t id) {
  loop().Post([self = shared_from_this(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;  // the session's end completed it
    loop().AssertInLoop();
    if (session_ != nullptr) session_->CancelOutbound(id);
  });
}

void NativeLink::SendError(uint64_t id, const absl::Status& status, bool not_executed) {
  ResponseHead head;
  head.id = id;
  bool claimed;
  {
    MutexLock lock(output().mutex());
    FrameWriter(output(), std::max(peer_limits_.max_frame, kMinFrame))
        .Error(head, status, not_executed);
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/true, false);
}

void NativeLink::SendFrame(const FrameHeader& header, std::string_view bytes) {
  bool claimed;
  {
    MutexLock lock(output().mutex());
    FrameWriter(output(), kMinFrame).Plain(header, bytes);
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/true, false);
}

void NativeLink::SendLast(const FrameHeader* header, std::string_view bytes) {
  bool claimed;
  {
    MutexLock lock(output().mutex());
    if (header != nullptr) FrameWriter(output(), kMinFrame).Plain(*header, bytes);
    fragments_.Clear();
    output().Seal();
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/true, false);
}

void NativeLink::SetPeer(const PeerSettings& agreement) {
  MutexLock lock(output().mutex());
  peer_limits_ = agreement;
  credit_ = static_cast<int64_t>(agreement.connection_window);
}

void NativeLink::Open(std::string identity) {
  identity_ = std::move(identity);
  MutexLock lock(output().mutex());
  if (state_ == State::kOpening) state_ = State::kUp;
}

void NativeLink::StopStarting() {
  MutexLock lock(output().mutex());
  if (state_ != State::kClosed) state_ = State::kGoingAway;
}

OutboundCall* NativeLink::GoAway(uint64_t last_taken) {
  MutexLock lock(output().mutex());
  if (state_ != State::kClosed) state_ = State::kGoingAway;
  std::vector<uint64_t> refused;
  calls_.ForEach([&](uint64_t id, OutboundCall*) {
    if (id > last_taken) refused.push_back(id);
  });
  OutboundCall* list = nullptr;
  for (uint64_t id : refused) {
    OutboundCall* call = calls_.Take(id);
    ForgetOutbound(id, call);
    call->next = list;
    list = call;
  }
  return list;
}

OutboundCall* NativeLink::Close(uint64_t* written) {
  std::vector<std::shared_ptr<StreamPort>> waiting;  // the last to hold one must not lock
  MutexLock lock(output().mutex());
  state_ = State::kClosed;
  *written = output().offered();
  fragments_.Clear();
  waiting.swap(waiting_);
  OutboundCall* list = nullptr;
  calls_.ForEach([&](uint64_t, OutboundCall* call) WEFT_NO_THREAD_ANALYSIS {
    if (call->stream != nullptr) LetGo(*call->stream);
    call->next = list;
    list = call;
  });
  calls_.Clear();
  return list;
}

OutboundCall* NativeLink::Take(uint64_t id) {
  OutboundCall* call = nullptr;
  TakeMany(&id, &call, 1);
  return call;
}

void NativeLink::TakeMany(const uint64_t* ids, OutboundCall** calls, size_t count) {
  {
    MutexLock lock(output().mutex());
    for (size_t i = 0; i < count; ++i) {
      calls[i] = calls_.Take(ids[i]);
      if (calls[i] != nullptr && (calls[i]->stream != nullptr || !fragments_.empty()))
        ForgetOutbound(ids[i], calls[i]);
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (calls[i] != nullptr) wheel_.Remove(calls[i]);
  }
}

MonoTime NativeLink::ArmDeadlines(DeadlineTarget* target) {
  MutexLock lock(output().mutex());
  if (!std::exchange(unarmed_, false)) {
    // None since the last look: the next call that comes asks for one.
    looked_for_by_ = kNever;
    shortest_timeout_ = Nanos::max();
    return kNever;
  }
  calls_.ForEach([&](uint64_t, OutboundCall* call) WEFT_NO_THREAD_ANALYSIS {
    if (call->deadline == kNever || call->in_wheel()) return;
    call->deadline_target = target;
    wheel_.Insert(call, call->deadline);
  });
  // Of the calls since the last look: a short one must not keep the looks short.
  const Nanos shortest = std::exchange(shortest_timeout_, Nanos::max());
  looked_for_by_ = loop().clock().Now() + std::clamp(shortest / 4, kShortestLook, kLongestLook);
  return looked_for_by_;
}

ConnectionVolume NativeLink::Volume() {
  ConnectionVolume volume;
  volume.bytes_in = bytes_in_.load(std::memory_order_relaxed);
  volume.calls_begun = last_inbound_.load(std::memory_order_relaxed);
  MutexLock lock(output().mutex());
  volume.bytes_out = output().offered();
  // Of the peer's, those that a worker has answered since the loop last looked are no more.
  const uint64_t taken = taken_.load(std::memory_order_relaxed);
  volume.calls = calls_.size() + (taken > answered_ ? taken - answered_ : 0);
  volume.calls_begun += next_id_;
  return volume;
}

size_t NativeLink::calls_under_way() {
  MutexLock lock(output().mutex());
  return calls_.size();
}

OutboundCall* NativeLink::Find(uint64_t id) {
  MutexLock lock(output().mutex());
  return calls_.Find(id);
}

uint64_t NativeLink::answered() {
  MutexLock lock(output().mutex());
  return answered_;
}

void NativeLink::Trim() {
  output().Trim();
  MutexLock lock(output().mutex());
  calls_.Trim();
}

bool NativeLink::OutputOverLimit() {
  // Refusals are small; a peer that lets so many of them pile up does not read.
  const size_t limit = limits_->MaxOutput() + (limits_->MaxOutput() >> 2) + (size_t{1} << 20);
  if (output().counted() + OutputBudget::kStep <= limit) return false;
  MutexLock lock(output().mutex());
  return Waiting() > limit;
}

}  // namespace weft::native
