// One frame: 16 bytes of header, then its body. What is taken lies inside the frame, and a frame
// that the writer makes of it is the same again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/scripted_transport.h"
#include "weft/core/output_queue.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/frame_writer.h"

namespace {

using namespace weft;          // NOLINT
using namespace weft::native;  // NOLINT

constexpr size_t kLimit = 64 << 10;

void Check(bool condition) {
  if (!condition) std::abort();
}

void CheckInside(std::string_view part, std::string_view whole) {
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
  // What the writer never writes: streams, pieces made by hand, metadata of nothing.
  if (!header.has(kEnd) || header.has(kMore) || header.has(kMetadata) == metadata.empty()) return;
  RequestHead head;
  head.id = header.id;
  head.method = header.aux;
  head.method_name = request.method_name;
  head.timeout_us = request.timeout_us;
  head.metadata = &metadata;
  OutMessage message;
  message.bytes = request.payload.bytes;
  message.size = request.payload.bytes.size();
  Check(Written([&](FrameWriter& w) { w.Request(head, message); }) == frame);
}

void CheckResponse(const FrameHeader& header, std::string_view frame, std::string_view body) {
  ResponseFrame response;
  if (FrameReader::ReadResponse(header, body, &response) != FrameError::kNone) return;
  for (const std::string_view part : {response.metadata, response.error_message,
                                      response.error_details, response.payload.bytes}) {
    CheckInside(part, body);
  }
  absl::Status status(FromWireCode(header.aux), "m");
  SetStatusDetails(response.error_details, &status);
  absl::Status again(status.code(), "m");
  SetStatusDetails(StatusDetails(status), &again);
  Check(again == status);
  Metadata metadata;
  if (!metadata.ReadFrom(response.metadata).ok()) return;
  if (header.aux != 0 || header.has(kNotExecuted)) return;
  if (!header.has(kEnd) || header.has(kMore) || header.has(kMetadata) == metadata.empty()) return;
  ResponseHead head;
  head.id = header.id;
  head.handler_us = response.handler_us;
  head.metadata = &metadata;
  OutMessage message;
  message.bytes = response.payload.bytes;
  message.size = response.payload.bytes.size();
  Check(Written([&](FrameWriter& w) { w.Response(head, message); }) == frame);
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
  Check(std::string_view(written, kHeaderSize) == frame.substr(0, kHeaderSize));
  if (FrameReader::CheckHeader(header, kLimit) != FrameError::kNone) return 0;
  Check(header.length <= kLimit && (header.flags & ~AllowedFlags(header.type)) == 0);
  const std::string_view body = frame.substr(kHeaderSize);
  if (body.size() != header.length) return 0;
  if (header.type == FrameType::kRequest) CheckRequest(header, frame, body);
  if (header.type == FrameType::kResponse) CheckResponse(header, frame, body);
  if (header.type == FrameType::kHeaders) CheckHeaders(header, frame, body);
  return 0;
}
