// The requests that a native link sends, from any thread.
#include <algorithm>
#include <utility>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/native_link.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {
namespace {

// What fits into a frame of every peer beside a request's head: its method's name, for whether that
// goes along is not known before the mutex is taken, its metadata, its message.
constexpr size_t kFits = kMinFrame - kHeaderSize - FrameWriter::kMaxRequestHead;

// So many methods get a number, so that their table stays small; others' names go with each call.
constexpr size_t kMaxMethods = 1024;

// `borrow`: a message's large fields stay where they are. False: there is no memory.
bool PiecesOf(const OutgoingRequest& request, size_t size, bool borrow, BlockPool* blocks,
              std::vector<MessagePiece>* pieces) {
  switch (request.form()) {
    case OutgoingRequest::Form::kMessage:
      return MessageCodec::Pieces(request.message(), size, borrow, pieces, blocks);
    case OutgoingRequest::Form::kBytes:
      return MessageCodec::Copied(request.bytes(), pieces, blocks);
    case OutgoingRequest::Form::kShared:
      if (size > 0) pieces->push_back(request.shared()->piece());
      return true;
  }
  return false;
}

}  // namespace

uint16_t NativeLink::BindMethod(const MethodInfo& method, bool* first) {
  *first = false;
  if (&method == last_method_) return last_number_;
  const auto it = methods_.find(&method);
  if (it != methods_.end()) {
    last_method_ = &method;
    return last_number_ = it->second;
  }
  *first = true;  // the name goes with the call
  if (methods_.size() >= std::min<size_t>(peer_limits_.max_methods, kMaxMethods)) return 0;
  const auto number = static_cast<uint16_t>(methods_.size() + 1);
  methods_.emplace(&method, number);
  last_method_ = &method;
  return last_number_ = number;
}

template <bool kPlain>
CallLink::StartResult NativeLink::SendRequest(OutboundCall& call, OutMessage& out,
                                              std::vector<MessagePiece>* pieces, bool borrow,
                                              absl::Status* why) {
  const bool in_loop = loop().InLoop();
  RequestHead head;
  if (!kPlain) head.metadata = call.metadata();
  std::shared_ptr<StreamPort> stream;
  bool claimed = false;
  bool look = false;
  bool large = false;
  {
    MutexLock lock(output().mutex());
    if (state_ != State::kUp || output().closed()) return StartResult::kGone;
    // What is small, plain and on a connection that keeps up is within every limit.
    if (head.metadata != nullptr || (!kPlain && call.stream != nullptr) ||
        out.size > peer_limits_.max_message || calls_.size() >= peer_limits_.max_calls ||
        Waiting() + out.size > unchecked_output_) {
      *why = CheckRequest(call, out.size, head.metadata);
      if (!why->ok()) return StartResult::kRefused;
    }
    if (!calls_.Insert(next_id_, &call)) {
      *why = absl::ResourceExhaustedError(absl::StrCat(
          "client side: no memory for a call more beside the ", calls_.size(), " to ", peer()));
      return StartResult::kRefused;
    }
    bool first;
    head.id = next_id_++;
    head.method = BindMethod(call.method, &first);
    if (first) head.method_name = call.method.full_name;
    // A call that waited for the connection has less left than it was given.
    call.sent = call.waited ? loop().clock().Now() : call.started;
    if (call.deadline != kNever) {
      const Nanos left = call.deadline - call.sent;
      head.timeout_us = static_cast<uint64_t>(std::max<int64_t>(1, left.count() / 1000));
      if (!in_loop) look = NoteDeadline(call.deadline, left);
    }
    call.id = head.id;
    call.stream_position = output().appended();
    if (call.wants_handle()) {
      call.Started(CallHandle(
          std::shared_ptr<CallCanceller>(shared_from_this(), static_cast<CallCanceller*>(this)),
          head.id));
    }
    if (!kPlain && call.stream != nullptr) {
      stream = call.stream;
      head.open = ClientStreams(call.method.kind);
      BindStream(call, head);
    }
    const PieceCursor rest = FrameWriter(output(), peer_limits_.max_frame).Request(head, out);
    if (!kPlain && rest.left > 0) AddFragments(head.id, /*reply=*/false, rest, out, *pieces);
    large = Waiting() >= kWriteAtOnce || (!kPlain && borrow);
    claimed = output().Claim();
    // A deadline goes into the wheel before anything can complete the call: only this loop does
    // that.
    if (in_loop && call.deadline != kNever) {
      loop().AssertInLoop();
      call.deadline_target = session_;
      wheel_.Insert(&call, call.deadline);
    }
    // From here on `call` may be gone.
    if (kPlain) Flush(lock, claimed, in_loop, large);
  }
  if (look) AskToLook();
  if (kPlain) return StartResult::kStarted;
  if (stream != nullptr) stream->Opened(*this);
  Flush(claimed, in_loop, large);
  if (borrow) OwnBorrowed(head.id);
  return StartResult::kStarted;
}

CallLink::StartResult NativeLink::TryStart(OutboundCall& call, absl::Status* why) {
  OutMessage out;
  out.size = call.request.Size();
  const bool plain = call.plain() && out.size + call.method.full_name.size() <= kFits &&
                     out.size <= limits_->max_message_bytes && !Compresses(call.codec, out.size);
  if (!plain) return TryStartSlow(call, out, why);
  if (call.request.form() == OutgoingRequest::Form::kMessage) {
    out.message = &call.request.message();
  } else {
    out.bytes = call.request.bytes();
  }
  return SendRequest</*kPlain=*/true>(call, out, nullptr, /*borrow=*/false, why);
}

// A request that is large, compressed, or has something beside it.
CallLink::StartResult NativeLink::TryStartSlow(OutboundCall& call, OutMessage& out,
                                               absl::Status* why) {
  const size_t most = std::min(limits_->max_message_bytes, MessageCodec::kMax);
  if (out.size > most) {
    *why = TooLarge("the request", out.size, most, "max_message_bytes of the channel");
    return StartResult::kRefused;
  }
  // A large request is written here and now from where it is; what the kernel does not take is
  // copied then.
  const absl::Cord* const attachment = call.attachment();
  const bool changes = attachment != nullptr || Compresses(call.codec, out.size);
  const bool from_message = call.request.form() == OutgoingRequest::Form::kMessage;
  const bool borrow = from_message && out.size >= kWriteAtOnce && !changes;
  std::vector<MessagePiece> pieces;
  if (changes ||
      out.size + call.method.full_name.size() + FrameWriter::MetadataSize(call.metadata()) >
          kFits) {
    if (!PiecesOf(call.request, out.size, borrow, &loop().blocks(), &pieces)) {
      *why = MessageCodec::NoMemory("the request", out.size);
      return StartResult::kRefused;
    }
    out.pieces = &pieces;
  } else if (from_message) {
    out.message = &call.request.message();
  } else {
    out.bytes = call.request.bytes();
  }
  if (changes) {
    *why = Transform(call.codec, attachment, /*of_stream=*/false, &out, &pieces,
                     call.request.shared().get());
    if (!why->ok()) return StartResult::kRefused;
  }
  return SendRequest</*kPlain=*/false>(call, out, &pieces, borrow, why);
}

// For a deadline that the loop does not know of yet; whether it is to be asked to look at it.
bool NativeLink::NoteDeadline(MonoTime deadline, Nanos left) {
  unarmed_ = true;
  shortest_timeout_ = std::min(shortest_timeout_, left);
  if (deadline >= looked_for_by_) return false;
  looked_for_by_ = deadline;  // asked for: the next one need not ask again
  return true;
}

void NativeLink::AskToLook() {
  loop().Post([self = shared_from_this(), this](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop().AssertInLoop();
    if (session_ != nullptr) session_->LookForDeadlines();
  });
}

void NativeLink::BindStream(const OutboundCall& call, const RequestHead& head) {
  StreamPort& stream = *call.stream;
  stream.codec().store(call.codec, std::memory_order_relaxed);
  NativeStream& s = NativeStream::Begin(stream, this, Handshake::StreamWindow(*limits_));
  s.id = head.id;
  s.open = head.open;
  s.credit = static_cast<int64_t>(peer_limits_.stream_window);
  s.receive_ended = !ServerStreams(call.method.kind);
  stream.Bind(
      std::shared_ptr<StreamTransport>(shared_from_this(), static_cast<StreamTransport*>(this)),
      limits_->max_message_bytes, gate_.get());
}

// Why a request must not be sent, or OK.
absl::Status NativeLink::CheckRequest(const OutboundCall& call, size_t size,
                                      const Metadata* metadata) {
  if (size > peer_limits_.max_message) {
    return TooLarge("the request", size, peer_limits_.max_message,
                    "max_message_bytes of the server");
  }
  if (metadata != nullptr && metadata->WireSize() > peer_limits_.max_metadata) {
    return TooLarge("the request's metadata", metadata->WireSize(), peer_limits_.max_metadata,
                    "max_metadata_bytes of the server");
  }
  if (calls_.size() >= peer_limits_.max_calls) {
    return absl::ResourceExhaustedError(
        absl::StrCat(calls_.size(), " calls are under way on the connection, the limit is ",
                     peer_limits_.max_calls, " (max_calls of the server)"));
  }
  if (call.stream != nullptr && peer_limits_.stream_window == 0)
    return absl::UnimplementedError("the server does not take streams");
  if (Waiting() + size > limits_->MaxOutput() && Waiting() > 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("client side: ", Waiting(), " bytes wait to be written to ", peer(),
                     ", with the request's ", size, " more than the limit of ",
                     limits_->MaxOutput(), " (max_output_bytes of the channel)"));
  }
  return output().CheckBudget(size, "client side", "the request's");
}

}  // namespace weft::native
