#include "weft/rpc/protocol/native/handshake.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/frame_format.h"
#include "weft/rpc/protocol/native/hello.pb.h"

namespace weft::internal::native {

namespace {

// The longest interval between signs of life; infinite ones mean it, too.
constexpr absl::Duration kMaxHeartbeat = absl::Hours(24);

// Cuts a setting to the 32 bits it has in a Hello.
uint32_t U32(size_t n) { return static_cast<uint32_t>(std::min<size_t>(n, UINT32_MAX)); }

// Below 1 KiB nearly every message would wait for credit; above 1 GiB a window comes near the 2 GiB
// of credit that are taken for a fault.
constexpr size_t kMinWindow = size_t{1} << 10;
constexpr size_t kLargestWindow = size_t{1} << 30;

bool IsControl(unsigned char c) { return c < 0x20 || c == 0x7F; }

// Names go into logs, events and errors of others, so control characters are refused.
bool IsName(std::string_view name) {
  return name.size() <= HelloFacts::kMaxNameBytes &&
         std::none_of(name.begin(), name.end(), &IsControl);
}

Hello HelloOf(const SessionLimits& limits) {
  Hello hello;
  hello.set_lowest_version(kWireVersion);
  hello.set_highest_version(kWireVersion);
  hello.set_max_frame_bytes(
      static_cast<uint32_t>(std::clamp(limits.max_frame_bytes, kMinFrame, kLargestFrame)));
  hello.set_max_message_bytes(limits.max_message_bytes);
  hello.set_max_metadata_bytes(U32(std::min(limits.max_metadata_bytes, kMaxMetadata)));
  hello.set_max_calls(U32(limits.max_calls));
  // A method's number has 16 bits on the wire, and 0 means none.
  hello.set_max_methods(static_cast<uint32_t>(std::min<size_t>(limits.max_methods, 65535)));
  // Rounded up: an interval below a millisecond must not become 0, which means none.
  const absl::Duration heartbeat =
      std::clamp(absl::Ceil(limits.heartbeat_interval, absl::Milliseconds(1)), absl::ZeroDuration(),
                 kMaxHeartbeat);
  hello.set_heartbeat_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(heartbeat)));
  hello.set_heartbeat_misses(static_cast<uint32_t>(std::max(1, limits.heartbeat_misses)));
  // Features are offers: each side uses what the other one has named. So an older peer is no error.
  uint32_t features = kStreams | kAttachments | kInitialMetadata | kStreamAttachments;
  if (limits.inflate.gzip) features |= kGzip;
  if (limits.inflate.zstd) features |= kZstd;
  hello.set_features(features);
  hello.set_stream_window_bytes(U32(Handshake::StreamWindow(limits)));
  hello.set_connection_window_bytes(U32(Handshake::ConnectionWindow(limits)));
  return hello;
}

}  // namespace

size_t Handshake::StreamWindow(const SessionLimits& limits) {
  return std::clamp(limits.stream_window_bytes, kMinWindow, kLargestWindow);
}

size_t Handshake::ConnectionWindow(const SessionLimits& limits) {
  // Never below a stream's window, or one stream could not use its own.
  return std::clamp(limits.connection_window_bytes, StreamWindow(limits), kLargestWindow);
}

std::string Handshake::MakeHello(const SessionLimits& limits, const HelloFacts& own,
                                 uint64_t features) {
  Hello hello = HelloOf(limits);
  hello.set_features(hello.features() | features);
  hello.set_auth_token(own.token);
  hello.set_node(own.node);
  hello.set_cluster(own.cluster);
  hello.set_incarnation(own.incarnation);
  hello.set_dial_nonce(own.dial_number);
  hello.set_connection(own.slot);
  hello.set_connections(own.slots);
  hello.set_last_dial(own.last_dial);
  hello.set_wanted_node(own.wanted_node);
  return hello.SerializeAsString();
}

std::string Handshake::MakeRefusal(const SessionLimits& limits) {
  Hello hello = HelloOf(limits);
  hello.set_refused(true);
  return hello.SerializeAsString();
}

absl::StatusOr<PeerHello> Handshake::ReadHello(std::string_view bytes, const SessionLimits& own) {
  Hello hello;
  if (!hello.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("its Hello cannot be parsed");
  }
  PeerHello a;
  // Both sides compute the same: the highest version that both speak.
  a.version = std::min(hello.highest_version(), kWireVersion);
  if (a.version == 0 || a.version < hello.lowest_version()) {
    return absl::FailedPreconditionError(
        absl::StrCat("it speaks wire versions ", hello.lowest_version(), " to ",
                     hello.highest_version(), ", this side only ", kWireVersion));
  }
  // The way for later versions to refuse a peer that would misunderstand them.
  if (hello.required_features() != 0) {
    return absl::FailedPreconditionError(absl::StrCat("it requires features 0x",
                                                      absl::Hex(hello.required_features()),
                                                      " that this side does not know"));
  }
  a.max_frame = hello.max_frame_bytes();
  if (a.max_frame < kMinFrame || a.max_frame > kLargestFrame) {
    return absl::InvalidArgumentError(absl::StrCat("its max_frame_bytes is ", a.max_frame,
                                                   ", allowed are ", kMinFrame, " to ",
                                                   kLargestFrame));
  }
  if (!IsName(hello.node()) || !IsName(hello.cluster()) || !IsName(hello.wanted_node())) {
    return absl::InvalidArgumentError(absl::StrCat("a name in its Hello is longer than ",
                                                   HelloFacts::kMaxNameBytes,
                                                   " bytes or has control characters"));
  }
  // The peer's limits are cut to what this side can represent: they bound what it sends, and larger
  // ones bound nothing.
  a.max_message = std::min<size_t>(hello.max_message_bytes(), (size_t{1} << 31) - 1);
  a.max_metadata = std::min<size_t>(hello.max_metadata_bytes(), kMaxMetadata);
  a.max_calls = hello.max_calls();
  a.max_methods = std::min<size_t>(hello.max_methods(), 65535);
  if (own.heartbeat_interval > absl::ZeroDuration() && hello.heartbeat_ms() > 0) {
    // The slower of both: neither side is asked more often than it wants to answer. 0 on either
    // side turns the heartbeat off.
    a.heartbeat = std::max(ToNanos(std::min(own.heartbeat_interval, kMaxHeartbeat)),
                           Nanos(std::chrono::milliseconds(hello.heartbeat_ms())));
  }
  a.heartbeat_misses = std::max(1, own.heartbeat_misses);
  if ((hello.features() & kStreams) != 0) {
    a.stream_window = std::min<size_t>(hello.stream_window_bytes(), kLargestWindow);
    a.connection_window = std::min<size_t>(hello.connection_window_bytes(), kLargestWindow);
  }
  a.attachments = (hello.features() & kAttachments) != 0;
  a.stream_attachments = (hello.features() & kStreamAttachments) != 0;
  a.gzip = (hello.features() & kGzip) != 0;
  a.zstd = (hello.features() & kZstd) != 0;
  a.clock = (hello.features() & kClock) != 0;
  a.initial_metadata = (hello.features() & kInitialMetadata) != 0;
  a.facts.token = std::move(*hello.mutable_auth_token());
  a.facts.node = std::move(*hello.mutable_node());
  a.facts.cluster = std::move(*hello.mutable_cluster());
  a.facts.incarnation = hello.incarnation();
  a.facts.dial_number = hello.dial_nonce();
  a.facts.slot = hello.connection();
  a.facts.slots = hello.connections();
  a.facts.last_dial = hello.last_dial();
  a.facts.wanted_node = std::move(*hello.mutable_wanted_node());
  a.refused = hello.refused();
  return a;
}

}  // namespace weft::internal::native
