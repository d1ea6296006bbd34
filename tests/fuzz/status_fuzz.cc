// A status from the wire: its code, its text and its details, any bytes. Details that are taken
// come back from being written, and an error always fits into a frame.
//
//   input:  code u16 | text size u8, times 256 | text … | details …
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "tests/fuzz/check.h"
#include "tests/support/scripted_transport.h"
#include "weft/core/output_queue.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/frame_writer.h"
#include "weft/rpc/protocol/native/handshake.h"

namespace {

using namespace weft;                    // NOLINT
using namespace weft::internal;          // NOLINT
using namespace weft::internal::native;  // NOLINT
using weft::fuzz::Check;

size_t PayloadsOf(const absl::Status& status) {
  size_t count = 0;
  status.ForEachPayload([&count](absl::string_view, const absl::Cord&) { ++count; });
  return count;
}

void CheckFrame(const absl::Status& status) {
  auto record = std::make_shared<WriteRecord>();
  OutputQueue queue(std::make_unique<ScriptedTransport>(record));
  {
    MutexLock lock(queue.mutex());
    // This is the smallest frame that a peer may demand, so text and details have to be cut or left
    // out.
    FrameWriter writer(queue, kMinFrame);
    ResponseHead head;
    head.id = 7;
    writer.Error(head, status, /*not_executed=*/true);
    Check(queue.Claim());
  }
  Check(queue.Flush() == OutputQueue::Flushed::kAll);
  const std::string frame = record->written();
  Check(frame.size() >= kHeaderSize);
  const FrameHeader header = ReadHeader(frame.data());
  Check(FrameReader::CheckHeader(header, kMinFrame) == FrameError::kNone);
  const std::string_view body = std::string_view(frame).substr(kHeaderSize);
  Check(body.size() == header.length && header.has(kNotExecuted));
  ResponseFrame response;
  Check(FrameReader::ReadResponse(header, body, &response) == FrameError::kNone);
  Check(FromWireCode(header.aux) == status.code());
  const absl::string_view text = status.message();
  Check(std::string_view(text.data(), text.size()).substr(0, response.error_message.size()) ==
        response.error_message);
  // Details travel whole or not at all.
  Check(response.error_details.empty() || response.error_details == StatusDetails(status));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  uint16_t code;
  std::memcpy(&code, data, sizeof(code));
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  const size_t text_size = std::min<size_t>(bytes.size(), size_t{data[2]} << 8);
  const std::string text(bytes.substr(0, text_size));

  absl::Status status(FromWireCode(code), text);
  Check(ToWireCode(status.code()) == code || absl::IsUnknown(status));
  SetStatusDetails(bytes.substr(text_size), &status);
  if (status.ok()) {
    Check(StatusDetails(status).empty());
    return 0;
  }
  absl::Status again(status.code(), text);
  SetStatusDetails(StatusDetails(status), &again);
  Check(again == status);
  const absl::Status annotated = Annotate(status, "here");
  Check(annotated.code() == status.code() && PayloadsOf(annotated) == PayloadsOf(status));
  CheckFrame(status);
  return 0;
}
