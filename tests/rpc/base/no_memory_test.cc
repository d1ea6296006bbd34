// Messages of a peer for which there is no memory: in a process of its own, whose address space is
// limited.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/received_message.h"

// A sanitizer's own memory is most of the address space.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace weft::internal {
namespace {

// More than malloc keeps free for what comes next, and what it may have beside that.
constexpr size_t kLarge = size_t{80} << 20;
constexpr size_t kRoom = size_t{8} << 20;

// Leaves `room` bytes of address space.
void LimitAddressSpace(size_t room) {
  long pages = 0;
  FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld", &pages) != 1) ::_exit(90);
  std::fclose(file);
  const rlim_t limit = static_cast<rlim_t>(pages) * static_cast<rlim_t>(::getpagesize()) + room;
  const rlimit both{limit, limit};
  if (::setrlimit(RLIMIT_AS, &both) != 0) ::_exit(91);
}

std::string LargeMessage() {
  test::EchoRequest request;
  request.set_payload(std::string(kLarge, 'x'));
  return request.SerializeAsString();
}

[[noreturn]] void Parse() {
  const std::string bytes = LargeMessage();
  LimitAddressSpace(kRoom);
  test::EchoRequest out;
  if (MessageCodec::Parse(bytes.data(), bytes.size(), &out) != MessageCodec::Parsed::kNoMemory) {
    ::_exit(1);
  }
  ReceivedMessage message;
  message.data = bytes.data();
  message.size = bytes.size();
  const absl::Status s = message.Parse({bytes.size(), "server"}, &out);
  if (s.code() != absl::StatusCode::kResourceExhausted) ::_exit(2);
  // The process goes on, and so does the message.
  if (!out.ParseFromString("\x12\x02hi") || out.text() != "hi") ::_exit(3);
  ::_exit(0);
}

[[noreturn]] void InflateOf(Compression codec) {
  const std::string bytes(kLarge, 'x');
  std::vector<MessagePiece> pieces;
  const MessagePiece piece{BlockRef(), bytes.data(), bytes.size()};
  if (!TryCompress(codec, {&piece, 1}, &pieces)) ::_exit(1);
  std::string small;
  for (const MessagePiece& p : pieces) small.append(p.data, p.size);
  BlockRef out;
  // The codec's own state is there.
  if (!Inflate(codec, small, kLarge, {kLarge, "server"}, &out).ok()) ::_exit(2);
  out.reset();
  LimitAddressSpace(kRoom);
  const absl::Status s = Inflate(codec, small, kLarge, {kLarge, "server"}, &out);
  ::_exit(s.code() == absl::StatusCode::kResourceExhausted && !out ? 0 : 3);
}

TEST(NoMemory, AMessageThatCannotBeParsedSaysSo) {
  EXPECT_EXIT(Parse(), testing::ExitedWithCode(0), "");
}

TEST(NoMemory, AMessageThatCannotBeInflatedSaysSo) {
  EXPECT_EXIT(InflateOf(Compression::kGzip), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(InflateOf(Compression::kZstd), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace weft::internal

#endif
