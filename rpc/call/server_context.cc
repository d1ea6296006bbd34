#include "weft/rpc/call/server_context.h"

#include <algorithm>

#include "weft/core/clock.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/call/stream_port.h"

namespace weft {

using namespace internal;

std::string_view ServerContext::method() const { return call_.bound->method->info->full_name; }
const std::string& ServerContext::peer() const { return call_.origin->peer(); }
std::string ServerContext::node() const {
  const std::shared_ptr<CallLink> link = call_.origin->Link();
  return link != nullptr ? link->connected_peer().node : std::string();
}
const std::string& ServerContext::identity() const { return call_.identity(); }

std::shared_ptr<CallTarget> ServerContext::caller() const { return call_.Caller(); }

const Metadata& ServerContext::metadata() const {
  (void)call_.ParseMetadata();
  return call_.metadata();
}
Metadata& ServerContext::initial_metadata() { return call_.initial_metadata().pairs; }
bool ServerContext::SendInitialMetadata() { return call_.SendInitialMetadata(); }
Metadata& ServerContext::trailers() { return call_.trailers(); }

void ServerContext::RetryAfter(absl::Duration delay) {
  // The trailer is a number of milliseconds; any negative one means: not at all.
  const int64_t ms = delay < absl::ZeroDuration()
                         ? -1
                         : std::min<int64_t>(absl::ToInt64Milliseconds(delay), 1'000'000'000);
  call_.trailers().AddReserved("weft-retry-pushback-ms", std::to_string(ms));
}

const absl::Cord& ServerContext::attachment() const { return call_.attachment(); }
absl::Cord& ServerContext::reply_attachment() { return call_.reply_attachment(); }
void ServerContext::set_compression(Compression codec) {
  call_.reply_codec = codec;
  if (call_.stream != nullptr) call_.stream->codec().store(codec, std::memory_order_relaxed);
}

absl::Duration ServerContext::time_left() const {
  if (call_.deadline == kNever) return absl::InfiniteDuration();
  return std::max(absl::ZeroDuration(), ToAbsl(call_.deadline - call_.clock->Now()));
}

absl::Time ServerContext::deadline() const {
  const absl::Duration left = time_left();
  // The deadline is a time of the monotonic clock; the wall's time is reckoned from what is left.
  return left == absl::InfiniteDuration() ? absl::InfiniteFuture() : absl::Now() + left;
}

bool ServerContext::cancelled() const {
  // The deadline is compared here because nobody may be watching it.
  return call_.cancelled() || (call_.deadline != kNever && call_.clock->Now() >= call_.deadline);
}

std::stop_token ServerContext::stop_token() {
  // Deadlines of inbound calls are watched only on demand: most handlers never ask.
  if (call_.deadline != kNever) call_.origin->WatchDeadline(call_);
  return call_.Scope()->stop_token();
}

}  // namespace weft
