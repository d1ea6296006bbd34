#include "weft/rpc/protocol/native/native_link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/protocol/native/call_ender.h"

namespace weft::native {
namespace {

// What fits into a frame of every peer beside a request's head: its method's name, for whether that
// goes along is not known before the mutex is taken, its metadata, its message.
constexpr size_t kFits = kMinFrame - kHeaderSize - FrameWriter::kMaxRequestHead;

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

std::shared_ptr<NativeLink> NativeLink::Make(std::shared_ptr<FrameOutput> frames,
                                             DeadlineWheel& wheel, std::shared_ptr<CallPool> pool,
                                             std::shared_ptr<InflateGate> gate) {
  auto link =
      std::make_shared<NativeLink>(std::move(frames), wheel, std::move(pool), std::move(gate));
  link->frames_.SetRoomWaiter(std::shared_ptr<RoomWaiter>(link, &link->streams_));
  link->answers_.SetLink(link);
  return link;
}

NativeLink::NativeLink(std::shared_ptr<FrameOutput> frames, DeadlineWheel& wheel,
                       std::shared_ptr<CallPool> pool, std::shared_ptr<InflateGate> gate)
    : shared_frames_(std::move(frames)),
      frames_(*shared_frames_),
      wheel_(wheel),
      pool_(std::move(pool)),
      streams_(frames_, std::move(gate)),
      answers_(frames_) {}

void NativeLink::SetState(State next) {
  WEFT_DCHECK(MayGo(state_, next));
  state_ = next;
}

// ---- requests

CallLink::StartResult NativeLink::TryStart(OutboundCall& call, absl::Status* why) {
  OutMessage out;
  out.size = call.request.Size();
  const bool plain = call.plain() && out.size + call.method.full_name.size() <= kFits &&
                     out.size <= frames_.limits().max_message_bytes &&
                     !Compresses(call.plan().codec, out.size);
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
  const size_t most = std::min(frames_.limits().max_message_bytes, MessageCodec::kMax);
  if (out.size > most) {
    *why = Errors::TooLarge("the request", out.size, most, "max_message_bytes of the channel");
    return StartResult::kRefused;
  }
  // A large request is written here and now from where it is; what the kernel does not take is
  // copied then.
  const absl::Cord* const attachment = call.attachment();
  const bool changes = attachment != nullptr || Compresses(call.plan().codec, out.size);
  const bool from_message = call.request.form() == OutgoingRequest::Form::kMessage;
  const bool borrow = from_message && out.size >= FrameOutput::kWriteAtOnce && !changes;
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
    *why = frames_.Transform(call.plan().codec, attachment, /*of_stream=*/false, &out, &pieces,
                             call.request.shared().get());
    if (!why->ok()) return StartResult::kRefused;
  }
  return SendRequest</*kPlain=*/false>(call, out, &pieces, borrow, why);
}

template <bool kPlain>
CallLink::StartResult NativeLink::SendRequest(OutboundCall& call, OutMessage& out,
                                              std::vector<MessagePiece>* pieces, bool borrow,
                                              absl::Status* why) {
  const bool in_loop = frames_.loop().InLoop();
  RequestHead head;
  if (!kPlain) head.metadata = call.metadata();
  std::shared_ptr<StreamPort> stream;
  bool claimed = false;
  bool look = false;
  bool large = false;
  {
    MutexLock lock(frames_.output().mutex());
    if (state_ != State::kUp || frames_.output().closed()) return StartResult::kGone;
    const PeerSettings& peer_takes = frames_.settings();
    // What is small, plain and on a connection that keeps up is within every limit.
    if (head.metadata != nullptr || (!kPlain && call.stream != nullptr) ||
        out.size > peer_takes.max_message || calls_.size() >= peer_takes.max_calls ||
        !frames_.HasRoom(out.size)) {
      *why = CheckRequest(call, out.size, head.metadata);
      if (!why->ok()) return StartResult::kRefused;
    }
    head.id = calls_.Add(&call);
    if (head.id == 0) {
      *why = absl::ResourceExhaustedError(absl::StrCat(
          "client side: no memory for a call more beside the ", calls_.size(), " to ", peer()));
      return StartResult::kRefused;
    }
    const MethodNumbers::Bound bound = methods_.Bind(call.method, peer_takes.max_methods);
    head.method = bound.number;
    if (bound.needs_name) head.method_name = call.method.full_name;
    // A call that waited for the connection has less left than it was given.
    OutboundCall::Wire& wire = call.wire();
    const MonoTime deadline = call.plan().deadline;
    wire.sent = call.state() == OutboundCall::State::kWaiting ? frames_.loop().clock().Now()
                                                              : call.plan().started;
    call.SetInFlight();
    if (deadline != kNever) {
      const Nanos left = deadline - wire.sent;
      head.timeout_us = static_cast<uint64_t>(std::max<int64_t>(1, left.count() / 1000));
      if (!in_loop) look = calls_.NoteDeadline(deadline, left);
    }
    wire.id = head.id;
    wire.position = frames_.output().appended();
    if (call.wants_handle()) {
      call.Started(CallHandle(
          std::shared_ptr<CallCanceller>(shared_from_this(), static_cast<CallCanceller*>(this)),
          head.id));
    }
    if (!kPlain && call.stream != nullptr) {
      stream = call.stream;
      head.open = ClientStreams(call.method.kind);
      streams_.Open(call, head, std::shared_ptr<StreamTransport>(shared_from_this(), &streams_));
    }
    const PieceCursor rest = FrameWriter(frames_.output(), peer_takes.max_frame).Request(head, out);
    if (!kPlain && rest.left > 0) frames_.AddFragments({head.id, false}, rest, out, *pieces);
    large = frames_.Waiting() >= FrameOutput::kWriteAtOnce || (!kPlain && borrow);
    claimed = frames_.output().Claim();
    // A deadline goes into the wheel before anything can complete the call: only this loop does
    // that.
    if (in_loop && deadline != kNever) {
      frames_.loop().AssertInLoop();
      wire.deadline_target = ender_;
      wheel_.Insert(&call, deadline);
    }
    // From here on `call` may be gone.
    if (kPlain) frames_.Flush(lock, claimed, in_loop, large);
  }
  if (look) AskToLook();
  if (kPlain) return StartResult::kStarted;
  if (stream != nullptr) stream->Opened(streams_);
  frames_.Flush(claimed, in_loop, large);
  if (borrow) frames_.OwnBorrowed(head.id);
  return StartResult::kStarted;
}

// Why a request must not be sent, or OK.
absl::Status NativeLink::CheckRequest(const OutboundCall& call, size_t size,
                                      const Metadata* metadata) {
  const PeerSettings& peer_takes = frames_.settings();
  if (size > peer_takes.max_message) {
    return Errors::TooLarge("the request", size, peer_takes.max_message,
                            "max_message_bytes of the server");
  }
  if (metadata != nullptr && metadata->WireSize() > peer_takes.max_metadata) {
    return Errors::TooLarge("the request's metadata", metadata->WireSize(), peer_takes.max_metadata,
                            "max_metadata_bytes of the server");
  }
  if (calls_.size() >= peer_takes.max_calls) {
    return absl::ResourceExhaustedError(
        absl::StrCat(calls_.size(), " calls are under way on the connection, the limit is ",
                     peer_takes.max_calls, " (max_calls of the server)"));
  }
  if (call.stream != nullptr && peer_takes.stream_window == 0) {
    return absl::UnimplementedError("the server does not take streams");
  }
  return frames_.CheckRoom(Side::kClient, size);
}

void NativeLink::AskToLook() {
  loop().Post([self = shared_from_this(), this](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop().AssertInLoop();
    if (ender_ != nullptr) ender_->LookForDeadlines();
  });
}

void NativeLink::CancelCall(uint64_t id) {
  loop().Post([self = shared_from_this(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;  // the session's end completed it
    loop().AssertInLoop();
    if (ender_ != nullptr) ender_->Cancel(id);
  });
}

// ---- for the session

void NativeLink::Attach(CallEnder* ender, InboundTable* inbound) {
  ender_ = ender;
  answers_.Attach(inbound);
}

void NativeLink::SetPeer(const PeerSettings& agreement) {
  MutexLock lock(frames_.output().mutex());
  frames_.SetSettings(agreement);
  streams_.SetWindow(agreement);
}

void NativeLink::Open(ConnectedPeer peer) {
  answers_.SetPeer(std::move(peer));
  MutexLock lock(frames_.output().mutex());
  if (state_ == State::kOpening) SetState(State::kUp);
}

void NativeLink::StopStarting() {
  MutexLock lock(frames_.output().mutex());
  if (state_ < State::kGoingAway) SetState(State::kGoingAway);
}

OutboundCall* NativeLink::GoAway(uint64_t last_taken) {
  MutexLock lock(frames_.output().mutex());
  if (state_ < State::kGoingAway) SetState(State::kGoingAway);
  OutboundCall* const list = calls_.TakeAbove(last_taken);
  for (OutboundCall* call = list; call != nullptr; call = call->wire().next)
    Forget(call->wire().id, *call);
  return list;
}

OutboundCall* NativeLink::Close(uint64_t* written) {
  StreamCredit::Ports waiting;  // the last to hold one must not hold the mutex
  MutexLock lock(frames_.output().mutex());
  SetState(State::kClosed);
  *written = frames_.output().offered();
  frames_.Clear();
  waiting = streams_.Close();
  OutboundCall* const list = calls_.TakeAll();
  for (OutboundCall* call = list; call != nullptr; call = call->wire().next) {
    if (call->stream != nullptr) streams_.LetGo(*call->stream);
  }
  return list;
}

void NativeLink::Forget(uint64_t id, OutboundCall& call) {
  if (call.stream != nullptr) streams_.LetGo(*call.stream);
  frames_.DropFragments({id, false});
}

OutboundCall* NativeLink::Take(uint64_t id) {
  OutboundCall* call = nullptr;
  TakeMany(&id, &call, 1);
  return call;
}

void NativeLink::TakeMany(const uint64_t* ids, OutboundCall** calls, size_t count) {
  {
    MutexLock lock(frames_.output().mutex());
    for (size_t i = 0; i < count; ++i) {
      calls[i] = calls_.Take(ids[i]);
      if (calls[i] != nullptr && (calls[i]->stream != nullptr || frames_.fragmented())) {
        Forget(ids[i], *calls[i]);
      }
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (calls[i] != nullptr) wheel_.Remove(calls[i]);
  }
}

OutboundCall* NativeLink::Find(uint64_t id) {
  MutexLock lock(frames_.output().mutex());
  return calls_.Find(id);
}

std::shared_ptr<StreamPort> NativeLink::StreamOf(uint64_t id, bool* call, bool* started) {
  MutexLock lock(frames_.output().mutex());
  *started = calls_.EverStarted(id);
  OutboundCall* const found = calls_.Find(id);
  *call = found != nullptr;
  return found != nullptr ? found->stream : nullptr;
}

bool NativeLink::EverStarted(uint64_t id) {
  MutexLock lock(frames_.output().mutex());
  return calls_.EverStarted(id);
}

size_t NativeLink::calls_under_way() {
  MutexLock lock(frames_.output().mutex());
  return calls_.size();
}

uint64_t NativeLink::answered() {
  MutexLock lock(frames_.output().mutex());
  return answers_.answered();
}

MonoTime NativeLink::ArmDeadlines(DeadlineTarget* target) {
  MutexLock lock(frames_.output().mutex());
  return calls_.Arm(wheel_, target, loop().clock());
}

ConnectionVolume NativeLink::Volume() {
  ConnectionVolume volume;
  volume.bytes_in = input_.bytes.load(std::memory_order_relaxed);
  volume.calls_begun = input_.last.load(std::memory_order_relaxed);
  MutexLock lock(frames_.output().mutex());
  volume.bytes_out = frames_.output().offered();
  // Of the peer's, those that a worker has answered since the loop last looked are no more.
  const uint64_t taken = input_.taken.load(std::memory_order_relaxed);
  const uint64_t answered = answers_.answered();
  volume.calls = calls_.size() + (taken > answered ? taken - answered : 0);
  volume.calls_begun += calls_.next_id();
  return volume;
}

void NativeLink::Trim() {
  frames_.output().Trim();
  MutexLock lock(frames_.output().mutex());
  calls_.Trim();
}

}  // namespace weft::native
