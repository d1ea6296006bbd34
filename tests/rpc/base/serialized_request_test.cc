// A request as bytes for several senders. A form that is made once keeps its address: a second one
// would have other memory, for the first is still held.
#include "weft/rpc/base/serialized_request.h"

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.pb.h"
#include "tests/support/no_large_memory.h"

namespace weft::internal {
namespace {

const Compression kCodecs[] = {Compression::kGzip, Compression::kZstd};

std::string Text(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) absl::StrAppend(&text, "line ", i, "\n");
  text.resize(size);
  return text;
}

test::EchoRequest RequestOf(std::string text) {
  test::EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

std::shared_ptr<const SerializedRequest> Of(const test::EchoRequest& request) {
  return SerializedRequest::Of(request, MessageCodec::ByteSize(request));
}

std::string Inflated(Compression codec, const SerializedRequest::Form& form, size_t size) {
  std::string bytes;
  for (const MessagePiece& piece : form.pieces) bytes.append(piece.data, piece.size);
  EXPECT_EQ(bytes.size(), form.size);
  BlockRef block;
  const absl::Status s = Inflate(codec, bytes, size, {size, "server"}, &block);
  EXPECT_TRUE(s.ok()) << s;
  return s.ok() ? std::string(block->data(), size) : "";
}

TEST(SerializedRequest, HasTheBytesOfItsMessage) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1'000}, size_t{1'000'000}}) {
    const test::EchoRequest request = RequestOf(Text(size));
    const auto made = Of(request);
    ASSERT_NE(made, nullptr);
    // Not EXPECT_EQ: it would print a megabyte.
    EXPECT_TRUE(made->bytes() == request.SerializeAsString());
    EXPECT_EQ(made->size(), request.ByteSizeLong());
    EXPECT_EQ(made->piece().data, made->bytes().data());
    const auto copy = SerializedRequest::Copy(made->bytes());
    ASSERT_NE(copy, nullptr);
    EXPECT_TRUE(copy->bytes() == made->bytes());
    // Nothing is shared with the bytes that were copied.
    EXPECT_NE(copy->bytes().data(), made->bytes().data());
  }
}

TEST(SerializedRequest, IsCompressedOnceForEachCodec) {
  const auto request = Of(RequestOf(Text(10'000)));
  std::vector<const SerializedRequest::Form*> forms;
  for (const Compression codec : kCodecs) {
    const SerializedRequest::Form* const form = request->Compressed(codec);
    ASSERT_NE(form, nullptr);
    EXPECT_LT(form->size, request->size());
    EXPECT_TRUE(Inflated(codec, *form, request->size()) == request->bytes());
    const MessagePiece held = form->pieces.at(0);  // another one would be elsewhere
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(request->Compressed(codec), form);
      EXPECT_EQ(request->Compressed(codec)->pieces.at(0).data, held.data);
    }
    forms.push_back(form);
  }
  EXPECT_NE(forms[0], forms[1]);
}

TEST(SerializedRequest, IsCompressedOnceForThreadsThatAskTogether) {
  constexpr int kThreads = 8;
  const auto request = Of(RequestOf(Text(1'000'000)));
  std::vector<SerializedRequest::Form> forms(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    // A megabyte takes long enough that threads ask while the first compresses.
    threads.emplace_back([&, i] { forms[i] = *request->Compressed(Compression::kZstd); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const SerializedRequest::Form& form : forms) {
    EXPECT_EQ(form.pieces.at(0).data, forms[0].pieces.at(0).data);
  }
  EXPECT_TRUE(Inflated(Compression::kZstd, forms[0], request->size()) == request->bytes());
}

TEST(SerializedRequest, HasNoCompressedFormThatIsNoSmaller) {
  const auto request = Of(RequestOf("short"));
  for (const Compression codec : kCodecs) {
    EXPECT_EQ(request->Compressed(codec), nullptr);
    // The second time the answer is remembered.
    EXPECT_EQ(request->Compressed(codec), nullptr);
  }
  EXPECT_EQ(request->Compressed(Compression::kNone), nullptr);
  EXPECT_EQ(request->Compressed(static_cast<Compression>(9)), nullptr);
}

TEST(SerializedRequest, OutlivesNothingButItsBlocks) {
  auto request = Of(RequestOf(Text(10'000)));
  const MessagePiece whole = request->piece();
  const SerializedRequest::Form form = *request->Compressed(Compression::kZstd);
  const std::string bytes(request->bytes());
  // The copied form holds references to its blocks.
  request.reset();
  EXPECT_TRUE(std::string_view(whole.data, whole.size) == bytes);
  EXPECT_TRUE(Inflated(Compression::kZstd, form, bytes.size()) == bytes);
}

TEST(SerializedRequest, IsNotMadeWithoutMemory) {
  if (!NoLargeMemory::kPossible) GTEST_SKIP() << "a sanitizer needs memory itself";
  const test::EchoRequest request = RequestOf(Text(1'000'000));
  const size_t size = MessageCodec::ByteSize(request);
  std::shared_ptr<const SerializedRequest> made;
  {
    // Only here: the request above needs its memory, and so do the checks below.
    const NoLargeMemory little(NoLargeMemory::Of::kMappings);
    made = SerializedRequest::Of(request, size);
  }
  EXPECT_EQ(made, nullptr);
}

}  // namespace
}  // namespace weft::internal
