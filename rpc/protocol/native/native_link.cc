#include "weft/rpc/protocol/native/native_link.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "absl/base/attributes.h"
#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/protocol/native/call_ender.h"

namespace weft::internal::native {
namespace {

// Bytes that fit into every peer's frame beside a request's fixed head: the method's name, metadata
// and message. The name counts always, because only under the mutex is it known to be needed.
constexpr size_t kFits = kMinFrame - kHeaderSize - FrameWriter::kMaxRequestHead;
// From this size on connections that send the same request refer to one block; below it each copies
// the request behind its other output. The caller's CPU of a broadcast to nine, copied and shared,
// in microseconds (bench/broadcast --only broadcasts, median of 8): 2 KB: 61, 67; 4 KB: 63, 67; 8
// KB: 66, 64; 16 KB: 68, 68. Sharing begins where it costs no more.
constexpr size_t kShareFrom = 8192;

bool Shares(const OutgoingRequest& request, size_t size) {
  return request.form() == OutgoingRequest::Form::kShared && size >= kShareFrom;
}

// `borrow`: large fields are referred to where they are. False: no memory.
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

// Returns why a request must not be sent, whatever room there is, or OK. `under_way`: this side's
// calls.
absl::Status CheckRequest(const FrameOutput& frames, const PeerSettings& peer_takes,
                          size_t under_way, const OutboundCall& call, size_t size,
                          const Metadata* metadata) {
  if (size > peer_takes.max_message) {
    return Errors::TooLarge("the request", size, peer_takes.max_message,
                            Errors::PeerSetting(frames.end, "max_message_bytes", Side::kClient));
  }
  if (metadata != nullptr && metadata->WireSize() > peer_takes.max_metadata) {
    return Errors::TooLarge("the request's metadata", metadata->WireSize(), peer_takes.max_metadata,
                            Errors::PeerSetting(frames.end, "max_metadata_bytes", Side::kClient));
  }
  if (under_way >= peer_takes.max_calls) {
    return absl::ResourceExhaustedError(absl::StrCat(
        under_way, " calls are under way on the connection, the limit is ", peer_takes.max_calls,
        " (", Errors::PeerSetting(frames.end, "max_calls", Side::kClient), ")"));
  }
  if (call.stream != nullptr && peer_takes.stream_window == 0) {
    return absl::UnimplementedError("the server does not take streams");
  }
  return absl::OkStatus();
}

}  // namespace

std::shared_ptr<NativeLink> NativeLink::Make(std::shared_ptr<FrameOutput> frames,
                                             DeadlineWheel& wheel, std::shared_ptr<CallPool> pool,
                                             std::shared_ptr<InflateGate> gate) {
  auto link =
      std::make_shared<NativeLink>(std::move(frames), wheel, std::move(pool), std::move(gate));
  // After construction: shared_from_this is not there inside a constructor.
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
                     !Compresses(call.plan().codec, out.size) && !Shares(call.request, out.size);
  if (!plain) return TryStartSlow(call, out, why);
  if (call.request.form() == OutgoingRequest::Form::kMessage) {
    out.message = &call.request.message();
  } else {
    out.bytes = call.request.bytes();
  }
  return SendRequest</*kPlain=*/true>(call, out, nullptr, /*borrow=*/false, why);
}

// Starts a request that is large, compressed, or has an attachment or metadata.
CallLink::StartResult NativeLink::TryStartSlow(OutboundCall& call, OutMessage& out,
                                               absl::Status* why) {
  const size_t most = std::min(frames_.limits().max_message_bytes, MessageCodec::kMax);
  if (out.size > most) {
    *why = Errors::TooLarge("the request", out.size, most,
                            Errors::OwnSetting(frames_.end, "max_message_bytes", Side::kClient));
    return StartResult::kRefused;
  }
  // A large request is written now from the caller's memory. OwnBorrowed copies what the kernel
  // does not take.
  const absl::Cord* const attachment = call.attachment();
  const bool changes = attachment != nullptr || Compresses(call.plan().codec, out.size);
  const bool from_message = call.request.form() == OutgoingRequest::Form::kMessage;
  const bool borrow = from_message && out.size >= FrameOutput::kWriteAtOnce && !changes;
  std::vector<MessagePiece> pieces;
  if (changes || Shares(call.request, out.size) ||
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
    // kGone, not kRefused: the caller may try another link.
    if (state_ != State::kUp || frames_.output().closed()) return StartResult::kGone;
    const PeerSettings& peer_takes = frames_.settings();
    // Fast path: a small plain request on a connection that keeps up is within every limit.
    if (head.metadata != nullptr || (!kPlain && call.stream != nullptr) ||
        out.size > peer_takes.max_message || calls_.size() >= peer_takes.max_calls ||
        !frames_.HasRoom(out.size)) {
      *why = CheckRequest(frames_, peer_takes, calls_.size(), call, out.size, head.metadata);
      if (!why->ok()) return StartResult::kRefused;
      *why = frames_.CheckRoom(Side::kClient, out.size);
      // kFull: room may come, and the call may wait for it.
      if (!why->ok()) return StartResult::kFull;
    }
    // The number is given under the same lock that writes the request, so numbers rise in the order
    // of the wire.
    head.id = calls_.Add(&call);
    if (head.id == 0) {
      *why = absl::ResourceExhaustedError(absl::StrCat(
          "client side: no memory for a call more beside the ", calls_.size(), " under way"));
      return StartResult::kRefused;
    }
    const MethodNumbers::Bound bound = methods_.Bind(call.method, peer_takes.max_methods);
    head.method = bound.number;
    if (bound.needs_name) head.method_name = call.method.full_name;
    // A call that waited for the connection has less time left than it was given.
    OutboundCall::Wire& wire = call.wire();
    const MonoTime deadline = call.plan().deadline;
    wire.sent = call.state() == OutboundCall::State::kWaiting ? frames_.loop().clock().Now()
                                                              : call.plan().started;
    call.SetInFlight();
    if (deadline != kNever) {
      const Nanos left = deadline - wire.sent;
      // At least 1: 0 on the wire means no deadline.
      head.timeout_us = static_cast<uint64_t>(std::max<int64_t>(1, left.count() / 1000));
      if (!in_loop) look = calls_.NoteDeadline(deadline, left);
    }
    wire.id = head.id;
    // Compared later with what the kernel took, to tell a sent request from an unsent one.
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
    // Into the wheel under the mutex, before anything can complete the call: only this loop
    // completes calls.
    if (in_loop && deadline != kNever) {
      frames_.loop().AssertInLoop();
      wire.deadline_target = ender_;
      wheel_.Insert(&call, deadline);
    }
    // From here on `call` may be destroyed: once the mutex is free, the loop may complete it.
    if (kPlain) frames_.Flush(lock, claimed, in_loop, large);
  }
  if (look) AskToLook();
  if (kPlain) return StartResult::kStarted;
  if (stream != nullptr) stream->Opened(streams_);
  frames_.Flush(claimed, in_loop, large);
  if (borrow) frames_.OwnBorrowed(head.id);
  return StartResult::kStarted;
}

void NativeLink::AwaitRoom(size_t size, std::weak_ptr<RoomObserver> observer) {
  {
    MutexLock lock(frames_.output().mutex());
    if (state_ == State::kUp && !frames_.output().closed() &&
        !frames_.CheckRoom(Side::kClient, size).ok()) {
      frames_.AwaitRoomFor(size, std::move(observer));
      return;
    }
  }
  // There is room already, or the link has ended: told at once, and the observer tries again.
  frames_.Tell({std::move(observer)});
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
    if (fate == TaskFate::kCancelled) return;  // the session's end has completed the call
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
  RoomWaits::Observers told;
  {
    MutexLock lock(frames_.output().mutex());
    if (state_ < State::kGoingAway) SetState(State::kGoingAway);
    told = frames_.GiveUpRoom();
  }
  frames_.Tell(std::move(told));
}

OutboundCall* NativeLink::GoAway(uint64_t last_taken) {
  StopStarting();
  MutexLock lock(frames_.output().mutex());
  OutboundCall* const list = calls_.TakeAbove(last_taken);
  for (OutboundCall* call = list; call != nullptr; call = call->wire().next)
    Forget(call->wire().id, *call);
  giving_back_ = list != nullptr;
  return list;
}

void NativeLink::OnGivenBack() {
  MutexLock lock(frames_.output().mutex());
  giving_back_ = false;
}

bool NativeLink::IsUnderWay(std::string_view method) {
  MutexLock lock(frames_.output().mutex());
  // During Close and GoAway calls are out of the table, but have not ended yet.
  return state_ == State::kClosed || giving_back_ || calls_.Has(method);
}

OutboundCall* NativeLink::Close(uint64_t* written) {
  StreamCredit::Ports waiting;  // released without the mutex: the last reference may be here
  RoomWaits::Observers told;
  OutboundCall* list = nullptr;
  {
    MutexLock lock(frames_.output().mutex());
    SetState(State::kClosed);
    // Read before anything is cleared: EndAll tells sent from unsent requests by it.
    *written = frames_.output().offered();
    frames_.Clear();
    told = frames_.GiveUpRoom();
    waiting = streams_.Close();
    list = calls_.TakeAll();
    for (OutboundCall* call = list; call != nullptr; call = call->wire().next) {
      if (call->stream != nullptr) streams_.LetGo(*call->stream);
    }
  }
  frames_.Tell(std::move(told));
  return list;
}

ABSL_ATTRIBUTE_NOINLINE void NativeLink::Forget(uint64_t id, OutboundCall& call) {
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
      // Fast path: most replies are of calls without either, and need no look into the fragment
      // queue.
      if (calls[i] != nullptr && (calls[i]->stream != nullptr || frames_.fragmented())) {
        Forget(ids[i], *calls[i]);
      }
    }
  }
  for (size_t i = 0; i < count; ++i) {
    // Without the mutex: the wheel is the loop's own.
    if (calls[i] != nullptr) wheel_.Remove(calls[i]);
  }
}

OutboundCall* NativeLink::Find(uint64_t id) {
  MutexLock lock(frames_.output().mutex());
  return calls_.Find(id);
}

std::shared_ptr<StreamPort> NativeLink::StreamOf(uint64_t id, bool* call, bool* started) {
  MutexLock lock(frames_.output().mutex());
  // Distinguishes a late frame, which is dropped, from one of a call that never was, which is a
  // fault of the peer's.
  *started = calls_.EverStarted(id);
  OutboundCall* const found = calls_.Find(id);
  *call = found != nullptr;
  return found != nullptr ? found->stream : nullptr;
}

bool NativeLink::EverStarted(uint64_t id) {
  MutexLock lock(frames_.output().mutex());
  return calls_.EverStarted(id);
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
  volume.queued = frames_.output().unsent();
  // The peer's calls answered by a worker since the loop last looked do not count.
  const uint64_t taken = input_.taken.load(std::memory_order_relaxed);
  const uint64_t answered = answers_.answered();
  volume.calls = calls_.size() + (taken > answered ? taken - answered : 0);
  volume.calls_begun += calls_.next_id();
  return volume;
}

PeerTiming NativeLink::Timing() {
  const MonoTime now = loop().clock().Now();
  MutexLock lock(frames_.output().mutex());
  return pings_.At(now);
}

void NativeLink::CountPong(Nanos round_trip, std::string_view body) {
  const MonoTime now = loop().clock().Now();
  const int64_t wall = loop().clock().WallMicros();
  MutexLock lock(frames_.output().mutex());
  pings_.Add(round_trip);
  // A peer without the clock feature answers without a body.
  if (body.size() != kClockSize) return;
  pings_.AddClock(now, round_trip, wall, LoadWire<uint64_t>(body.data()));
}

void NativeLink::Trim() {
  frames_.output().Trim();
  MutexLock lock(frames_.output().mutex());
  calls_.Trim();
}

}  // namespace weft::internal::native
