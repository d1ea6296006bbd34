#include "weft/rpc/mesh/broadcast_plan.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/try_allocate.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/wire_status.h"

namespace weft::internal {
namespace {

// Serializes into a block of the loop's pool, which takes the block back. Fresh pages for each
// broadcast would cost as much as several of its calls. Null: no memory.
std::shared_ptr<const SerializedRequest> Serialized(const google::protobuf::MessageLite& message,
                                                    size_t size, EventLoop* loop) {
  if (loop == nullptr) return SerializedRequest::Of(message, size);
  std::shared_ptr<const SerializedRequest> made;
  (void)TryAllocate([&] {
    BlockRef block = loop->blocks().TryGet(size);
    if (!block) return;
    MessageCodec::WriteTo(message, block->data());
    made = std::make_shared<const SerializedRequest>(std::move(block), size);
  });
  return made;
}

}  // namespace

BroadcastPlan::BroadcastPlan(const BroadcastTargets& targets, const MethodInfo& called,
                             const google::protobuf::MessageLite& sent,
                             const BroadcastOptions& wishes)
    : method(called), message(sent), options(wishes), peers(wishes.to) {
  // Taken once: legs and count are of the same members, whatever view comes meanwhile.
  if (peers == nullptr) {
    held = targets.Snapshot();
    peers = held.get();
  }
  absl::Status fault = Make();
  if (fault.ok()) return;
  why = Annotate(fault, absl::StrCat("broadcast ", std::string(method.full_name)));
  // A failed plan has no legs, so that Launch only has to deliver `why`.
  others = 0;
  calls_self = false;
  request = nullptr;
  request_size = 0;
}

CallOptions BroadcastPlan::LegOptions() const {
  CallOptions each;
  each.timeout = options.timeout;
  each.wait_for_ready = options.wait_for_ready;
  each.wait_for_room = options.slow == Slow::kWait;
  each.max_attempts = options.max_attempts;
  each.idempotent = options.idempotent;
  each.compression = options.compression;
  each.detached = options.detached;
  return each;
}

absl::Status BroadcastPlan::Make() {
  const absl::StatusOr<QuorumCount> counted = QuorumCount::For(
      options.want, options.self, static_cast<int>(peers->others.size()), peers->is_member);
  if (!counted.ok()) return counted.status();
  count = *counted;
  if (options.self == Self::kCall && peers->self == nullptr) {
    return absl::FailedPreconditionError(
        "this node is to be called (Self::kCall), and has no handlers of its own");
  }
  if (!MessageCodec::IsComplete(message)) {
    return MessageCodec::Incomplete(absl::StatusCode::kInvalidArgument, "the request", message);
  }
  request_size = MessageCodec::ByteSize(message);
  if (request_size > MessageCodec::kMax) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the request of ", request_size, " bytes is over the limit of ", MessageCodec::kMax));
  }
  // From this size on the legs share one serialized request, and one compressed form of it. Smaller
  // ones are copied behind the round (MakeLegs).
  if (request_size >= kCompressFrom) {
    request = Serialized(message, request_size, peers->loop.get());
    if (request == nullptr) return MessageCodec::NoMemory("the request", request_size);
  }
  others = peers->others.size();
  calls_self = options.self == Self::kCall;
  return absl::OkStatus();
}

}  // namespace weft::internal
