#include "weft/rpc/protocol/native/errors.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weft::native {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status Errors::TooLarge(std::string_view what, size_t size, size_t limit,
                              std::string_view setting) {
  return absl::ResourceExhaustedError(absl::StrCat(
      View(what), " of ", size, " bytes is over the limit of ", limit, " (", View(setting), ")"));
}

absl::Status Errors::OutputFull(Side side, size_t waiting, size_t size, size_t limit) {
  const bool client = side == Side::kClient;
  return absl::ResourceExhaustedError(absl::StrCat(
      client ? "client side: " : "server side: ", waiting, " bytes wait to be written",
      client ? ", with the request's " : ", with the reply's ", size, " more than the limit of ",
      limit, client ? " (max_output_bytes of the channel)" : " (max_output_bytes of the server)"));
}

std::string Errors::BrokenFrame(FrameError error, const FrameHeader& header, size_t max_frame) {
  std::string what(FrameReader::Describe(error));
  absl::StrAppend(&what,
                  absl::StrFormat(" (type 0x%02x, flags 0x%02x, length %d",
                                  static_cast<int>(header.type), header.flags, header.length));
  if (error == FrameError::kTooLong) {
    absl::StrAppend(&what, ", limit ", max_frame, ", max_frame_bytes");
  }
  what += ')';
  return what;
}

absl::Status Errors::Closed(std::string_view why) {
  return absl::UnavailableError(absl::StrCat("connection closed: ", View(why)));
}

}  // namespace weft::native
