// One frame: 16 bytes of header, then its body. All parts that the reader takes lie inside the
// frame, and a frame that the writer makes of them is the same again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/check.h"
#include "tests/support/scripted_transport.h"
#include "weft/core/output_queue.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/frame_writer.h"

namespace {

using namespace weft;                    // NOLINT
using namespace weft::internal;          // NOLINT
using namespace weft::internal::native;  // NOLINT
using weft::fuzz::Check;

constexpr size_t kLimit = 64 << 10;

void CheckInside(std::string_view part, std::string_view whole) {
  // An empty part may point anywhere.
  if (part.empty()) return;
  Check(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

template <typename Write>
std::string Written(Write&& write) {
  auto record = std::make_shared<WriteRecord>();
  OutputQueue queue(std::make_unique<ScriptedTransport>(record));
  {
    MutexLock lock(queue.mutex());
    FrameWriter writer(queue, kLimit);
    write(writer);
    Check(queue.Claim());
  }
  Check(queue.Flush() == OutputQueue::Flushed::kAll);
  return record->written();
}

// True if a writer writes such messages: it names a codec and the size of an attachment only where
// the message has them, and cuts a message into frames by itself.
bool IsWritten(const FrameHeader& header, const Payload& payload) {
  return header.has(kEnd) && !header.has(kMore) &&
         header.has(kCompressed) == (payload.codec != 0) &&
         header.has(kAttachment) == (payload.attachment_size > 0);
}

// Returns a message to write with the contents of `payload`. `pieces` must outlive it.
OutMessage ToWrite(const Payload& payload, std::vector<MessagePiece>* pieces) {
  OutMessage message;
  message.size = payload.bytes.size();
  message.codec = static_cast<Compression>(payload.codec);
  message.inflated_size = payload.inflated_size;
  message.attachment_size = payload.attachment_size;
  if (payload.codec == 0 && payload.attachment_size == 0) {
    message.bytes = payload.bytes;
    return message;
  }
  BlockRef block = BlockRef::New(std::max<size_t>(1, payload.bytes.size()));
  std::copy(payload.bytes.begin(), payload.bytes.end(), block->data());
  pieces->push_back({block, block->data(), payload.bytes.size()});
  message.pieces = pieces;
  return message;
}

void CheckRequest(const FrameHeader& header, std::string_view frame, std::string_view body) {
  RequestFrame request;
  if (FrameReader::ReadRequest(header, body, &request) != FrameError::kNone) return;
  for (const std::string_view part :
       {request.method_name, request.metadata, request.payload.bytes}) {
    CheckInside(part, body);
  }
  Check(header.has(kMore) ? request.payload.whole_size > request.payload.bytes.size()
                          : request.payload.whole_size == request.payload.bytes.size());
  Metadata metadata;
  if (!metadata.ReadFrom(request.metadata).ok()) return;
  // The writer never writes empty metadata either.
  if (!IsWritten(header, request.payload) || header.has(kMetadata) == metadata.empty()) return;
  RequestHead head;
  head.id = header.id;
  head.method = header.aux;
  head.method_name = request.method_name;
  head.timeout_us = request.timeout_us;
  head.metadata = &metadata;
  std::vector<MessagePiece> pieces;
  const OutMessage message = ToWrite(request.payload, &pieces);
  Check(Written([&](FrameWriter& w) { w.Request(head, message); }) == frame);
}

void CheckResponse(const FrameHeader& header, std::string_view frame, std::string_view body) {
  ResponseFrame response;
  if (FrameReader::ReadResponse(header, body, &response) != FrameError::kNone) return;
  for (const std::string_view part : {response.metadata, response.error_message,
                                      response.error_details, response.payload.bytes}) {
    CheckInside(part, body);
  }
  Metadata metadata;
  if (!metadata.ReadFrom(response.metadata).ok()) return;
  // A writer makes an error out of a status; status_fuzz covers that.
  if (header.aux != 0 || header.has(kNotExecuted)) return;
  if (!IsWritten(header, response.payload) || header.has(kMetadata) == metadata.empty()) return;
  ResponseHead head;
  head.id = header.id;
  head.handler_us = response.handler_us;
  head.metadata = &metadata;
  std::vector<MessagePiece> pieces;
  const OutMessage message = ToWrite(response.payload, &pieces);
  Check(Written([&](FrameWriter& w) { w.Response(head, message); }) == frame);
}

void CheckStreamMessage(const FrameHeader& header, std::string_view frame, std::string_view body) {
  Payload payload;
  if (FrameReader::ReadStreamMessage(header, body, &payload) != FrameError::kNone) return;
  CheckInside(payload.bytes, body);
  if (header.has(kNoMessage) || header.has(kMore) || header.aux != 0) return;
  if (header.has(kCompressed) != (payload.codec != 0)) return;
  if (header.has(kAttachment) != (payload.attachment_size > 0)) return;
  const StreamMessageHead head{header.id, header.has(kReply), header.has(kEnd)};
  std::vector<MessagePiece> pieces;
  const OutMessage message = ToWrite(payload, &pieces);
  Check(Written([&](FrameWriter& w) { w.StreamMessage(head, message); }) == frame);
}

void CheckHeaders(const FrameHeader& header, std::string_view frame, std::string_view body) {
  Metadata metadata;
  if (!metadata.ReadFrom(body).ok() || header.aux != 0) return;
  Check(Written([&](FrameWriter& w) { w.Headers(header.id, metadata); }) == frame);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kHeaderSize) return 0;
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  FrameHeader header = ReadHeader(frame.data());
  char written[kHeaderSize];
  WriteHeader(written, header);
  // Any 16 bytes are a header that is written back unchanged, whether or not it is allowed.
  Check(std::string_view(written, kHeaderSize) == frame.substr(0, kHeaderSize));
  if (FrameReader::CheckHeader(header, kLimit) != FrameError::kNone) return 0;
  Check(header.length <= kLimit && (header.flags & ~AllowedFlags(header.type)) == 0);
  const std::string_view body = frame.substr(kHeaderSize);
  if (body.size() != header.length) return 0;
  if (header.type == FrameType::kRequest) CheckRequest(header, frame, body);
  if (header.type == FrameType::kResponse) CheckResponse(header, frame, body);
  if (header.type == FrameType::kHeaders) CheckHeaders(header, frame, body);
  if (header.type == FrameType::kMessage) CheckStreamMessage(header, frame, body);
  return 0;
}
