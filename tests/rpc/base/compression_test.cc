// Compression and inflation of messages with each codec, over pieces of any cut and over damaged
// bytes.
#include "weft/rpc/base/compression.h"

#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr size_t kLimit = size_t{64} << 20;

const Compression kCodecs[] = {Compression::kGzip, Compression::kZstd};

std::string NameOf(Compression codec) { return std::string(CompressionName(codec)); }

// Text that compresses, never the same twice in a row.
std::string Text(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) absl::StrAppend(&text, "line ", i, " of the message\n");
  text.resize(size);
  return text;
}

std::string Noise(size_t size) {
  // A fixed seed: these bytes compress as badly in each run.
  std::mt19937 random(42);
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}

std::vector<MessagePiece> Cut(const std::string& message, size_t piece) {
  std::vector<MessagePiece> pieces;
  for (size_t at = 0; at < message.size(); at += piece) {
    pieces.push_back({BlockRef(), message.data() + at, std::min(piece, message.size() - at)});
  }
  return pieces;
}

std::string Joined(const std::vector<MessagePiece>& pieces) {
  std::string bytes;
  for (const MessagePiece& piece : pieces) bytes.append(piece.data, piece.size);
  return bytes;
}

std::string Compressed(Compression codec, const std::string& message) {
  std::vector<MessagePiece> out;
  EXPECT_TRUE(TryCompress(codec, Cut(message, message.size()), &out)) << NameOf(codec);
  return Joined(out);
}

absl::StatusOr<std::string> Inflated(Compression codec, const std::string& bytes, size_t size,
                                     size_t limit = kLimit) {
  BlockRef out;
  // An exact copy: a read past its end is seen by the address sanitizer.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  const absl::Status s = Inflate(codec, std::string_view(exact.data(), exact.size()), size,
                                 {limit, "called node"}, &out);
  if (!s.ok()) {
    EXPECT_FALSE(out);
    return s;
  }
  EXPECT_EQ(out->capacity(), size);
  return std::string(out->data(), size);
}

TEST(Compression, NamesEachCodecAndFindsItByName) {
  for (const Compression codec : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    EXPECT_EQ(CompressionNamed(CompressionName(codec)), codec);
    EXPECT_EQ(IsCodec(codec), codec != Compression::kNone);
  }
  EXPECT_EQ(CompressionNamed("snappy"), std::nullopt);
  EXPECT_EQ(CompressionNamed("GZIP"), std::nullopt);
  EXPECT_EQ(CompressionNamed(""), std::nullopt);
  EXPECT_EQ(CompressionName(static_cast<Compression>(9)), "unknown");
  EXPECT_FALSE(IsCodec(static_cast<Compression>(9)));
}

TEST(Compression, GivesBackMessagesOfAnySizeHoweverTheyAreCut) {
  for (const Compression codec : kCodecs) {
    // Sizes on both sides of a block of 64 KiB, and of many blocks.
    for (const size_t size : {100, 4096, 65535, 65536, 65537, 300'000, 3'000'000}) {
      const std::string message = Text(size);
      for (const size_t piece : {size_t{7}, size_t{4096}, size_t{65536}, size}) {
        // Pieces of 7 bytes are cut only from the smaller messages: the list of pieces alone would
        // take long.
        if (size / piece > 50'000) continue;
        std::vector<MessagePiece> out;
        ASSERT_TRUE(TryCompress(codec, Cut(message, piece), &out)) << NameOf(codec) << " " << size;
        const std::string bytes = Joined(out);
        EXPECT_LT(bytes.size(), size);
        const absl::StatusOr<std::string> back = Inflated(codec, bytes, size);
        ASSERT_TRUE(back.ok()) << back.status();
        EXPECT_EQ(*back, message) << NameOf(codec) << " " << size << " in " << piece;
      }
    }
  }
}

TEST(Compression, GivesPiecesThatLieInTheirBlocks) {
  for (const Compression codec : kCodecs) {
    // Half of the message does not shrink, so the result fills many blocks.
    std::string message = Noise(1'000'000);
    message += std::string(1'000'000, 'x');
    std::vector<MessagePiece> out;
    ASSERT_TRUE(TryCompress(codec, Cut(message, 100'000), &out));
    ASSERT_GT(out.size(), 10u);
    for (const MessagePiece& piece : out) {
      ASSERT_TRUE(piece.block);
      EXPECT_GT(piece.size, 0u);
      EXPECT_EQ(piece.data, piece.block->data());
      EXPECT_LE(piece.size, piece.block->capacity());
    }
    EXPECT_EQ(*Inflated(codec, Joined(out), message.size()), message);
  }
}

TEST(Compression, DeclinesWhatWouldNotBecomeSmaller) {
  std::vector<MessagePiece> out;
  for (const Compression codec : kCodecs) {
    for (const std::string& message :
         {std::string(), std::string("x"), std::string("short"), Noise(1000), Noise(500'000)}) {
      EXPECT_FALSE(TryCompress(codec, Cut(message, 65536), &out))
          << NameOf(codec) << " " << message.size();
      EXPECT_TRUE(out.empty());
    }
    // And the next message is none the worse for it.
    const std::string message = Text(100'000);
    EXPECT_EQ(*Inflated(codec, Compressed(codec, message), message.size()), message);
  }
  const std::string message = Text(1000);
  EXPECT_FALSE(TryCompress(Compression::kNone, Cut(message, 1000), &out));
  EXPECT_FALSE(TryCompress(static_cast<Compression>(9), Cut(message, 1000), &out));
}

TEST(Compression, RefusesBytesThatBecomeMoreOrFewerThanDeclared) {
  for (const Compression codec : kCodecs) {
    const std::string message = Text(10'000);
    const std::string bytes = Compressed(codec, message);
    for (const size_t declared :
         {size_t{0}, size_t{1}, size_t{9'999}, size_t{10'001}, size_t{20'000}}) {
      const absl::Status s = Inflated(codec, bytes, declared).status();
      EXPECT_EQ(s.code(), absl::StatusCode::kInternal) << NameOf(codec) << " " << declared;
      EXPECT_THAT(
          std::string(s.message()),
          AllOf(HasSubstr(NameOf(codec)),
                HasSubstr(absl::StrCat(bytes.size(), " bytes declared to inflate to ", declared))));
    }
    EXPECT_EQ(*Inflated(codec, bytes, message.size()), message);
  }
}

TEST(Compression, RefusesASizeOverTheLimitBeforeAnythingIsAllocated) {
  for (const Compression codec : kCodecs) {
    const std::string message(1 << 20, 'b');
    const std::string bytes = Compressed(codec, message);
    // A message of just the limit is inflated.
    EXPECT_TRUE(Inflated(codec, bytes, message.size(), message.size()).ok());
    const absl::Status s = Inflated(codec, bytes, message.size(), message.size() - 1).status();
    EXPECT_EQ(s.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(s.message()),
                AllOf(HasSubstr(NameOf(codec)), HasSubstr("1048576"), HasSubstr("1048575"),
                      HasSubstr("(max_message_bytes of the called node)")));
    // Not even where no limit was set: this would end the process.
    EXPECT_EQ(Inflated(codec, bytes, SIZE_MAX / 2, SIZE_MAX).status().code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TEST(Compression, RefusesASizeThatSoFewBytesCannotBecome) {
  const std::string gzip = Compressed(Compression::kGzip, std::string(100'000, 'b'));
  // gzip gets at most 1,032 bytes out of one.
  absl::Status s = Inflated(Compression::kGzip, gzip, gzip.size() * 1100).status();
  EXPECT_EQ(s.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(s.message()), HasSubstr("no bytes of this codec do that"));
  // zstd gets at most 32,769 bytes out of one. The bytes are no frame, which nobody looks at.
  s = Inflated(Compression::kZstd, "1234", size_t{4} << 20).status();
  EXPECT_THAT(std::string(s.message()), HasSubstr("no bytes of this codec do that"));
  // The densest there is comes through.
  for (const Compression codec : kCodecs) {
    const std::string message(32 << 20, '\0');
    EXPECT_TRUE(Inflated(codec, Compressed(codec, message), message.size()).ok()) << NameOf(codec);
  }
}

TEST(Compression, RefusesACodecThatIsNone) {
  for (const int codec : {0, 3, 9, 255}) {
    const absl::Status s = Inflated(static_cast<Compression>(codec), "bytes", 5).status();
    EXPECT_EQ(s.code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(std::string(s.message()), AllOf(HasSubstr(absl::StrCat("codec ", codec)),
                                                HasSubstr("gzip"), HasSubstr("zstd")));
  }
}

TEST(Compression, RefusesBytesCutAnywhere) {
  for (const Compression codec : kCodecs) {
    const std::string message = Text(2'000);
    const std::string bytes = Compressed(codec, message);
    // The declared size stays that of the whole message.
    for (size_t n = 0; n < bytes.size(); ++n) {
      const absl::Status s = Inflated(codec, bytes.substr(0, n), message.size()).status();
      EXPECT_EQ(s.code(), absl::StatusCode::kInternal) << NameOf(codec) << " cut at " << n;
    }
  }
}

TEST(Compression, RefusesBytesBehindTheEnd) {
  for (const Compression codec : kCodecs) {
    const std::string message = Text(2'000);
    const std::string bytes = Compressed(codec, message);
    for (const std::string& behind : {std::string("x"), std::string(1, '\0'), bytes}) {
      const absl::Status s = Inflated(codec, bytes + behind, message.size()).status();
      EXPECT_EQ(s.code(), absl::StatusCode::kInternal) << NameOf(codec);
    }
    // Two in a row are not one message.
    EXPECT_FALSE(Inflated(codec, bytes + bytes, 2 * message.size()).ok()) << NameOf(codec);
  }
}

TEST(Compression, DamagedBytesNeverBecomeAnotherMessageUnseen) {
  struct Damage {
    const char* what;
    Compression codec;
    std::string bytes;
  };
  const std::string message = Text(2'000);
  const std::string gzip = Compressed(Compression::kGzip, message);
  const std::string zstd = Compressed(Compression::kZstd, message);
  const auto with = [](std::string bytes, size_t at, char c) {
    bytes[at] = c;
    return bytes;
  };
  const Damage damages[] = {
      {"no magic number", Compression::kGzip, with(gzip, 0, 'x')},
      {"another method", Compression::kGzip, with(gzip, 2, 7)},
      {"reserved flags", Compression::kGzip, with(gzip, 3, '\xe0')},
      {"a name that never ends", Compression::kGzip, with(gzip, 3, 8)},
      {"another checksum", Compression::kGzip,
       with(gzip, gzip.size() - 8, static_cast<char>(gzip[gzip.size() - 8] + 1))},
      {"another length", Compression::kGzip,
       with(gzip, gzip.size() - 4, static_cast<char>(gzip[gzip.size() - 4] + 1))},
      {"zlib's wrapper, not gzip's", Compression::kGzip, "\x78\x9c\x4b\x04\x00\x00\x62\x00\x62"},
      {"zstd's bytes", Compression::kGzip, zstd},
      {"no magic number", Compression::kZstd, with(zstd, 0, 'x')},
      {"reserved bit", Compression::kZstd, with(zstd, 4, static_cast<char>(zstd[4] | 8))},
      {"a dictionary", Compression::kZstd, with(zstd, 4, static_cast<char>(zstd[4] | 1))},
      {"gzip's bytes", Compression::kZstd, gzip},
      {"text", Compression::kZstd, message},
  };
  for (const Damage& damage : damages) {
    const absl::Status s = Inflated(damage.codec, damage.bytes, message.size()).status();
    EXPECT_EQ(s.code(), absl::StatusCode::kInternal) << NameOf(damage.codec) << damage.what;
    EXPECT_THAT(std::string(s.message()), HasSubstr(NameOf(damage.codec))) << damage.what;
  }
  // Any byte behind the headers changed: the checksum sees it.
  for (const auto& [codec, bytes] :
       {std::pair(Compression::kGzip, gzip), std::pair(Compression::kZstd, zstd)}) {
    for (size_t at = 10; at < bytes.size(); ++at) {
      const std::string damaged = with(bytes, at, static_cast<char>(~bytes[at]));
      EXPECT_FALSE(Inflated(codec, damaged, message.size()).ok()) << NameOf(codec) << " " << at;
    }
  }
  // After all that the thread's codecs work as before.
  EXPECT_EQ(*Inflated(Compression::kGzip, gzip, message.size()), message);
  EXPECT_EQ(*Inflated(Compression::kZstd, zstd, message.size()), message);
}

TEST(Compression, ServesSeveralThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    // Each thread has working memory of its own, and uses both codecs in turn.
    threads.emplace_back([t] {
      for (int i = 0; i < 20; ++i) {
        const Compression codec = kCodecs[(t + i) % 2];
        const std::string message = Text(static_cast<size_t>(1000 + 5000 * t + i));
        const absl::StatusOr<std::string> back =
            Inflated(codec, Compressed(codec, message), message.size());
        ASSERT_TRUE(back.ok()) << back.status();
        EXPECT_EQ(*back, message);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weft::internal
