#include "weft/rpc/protocol/native/errors.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weft::internal::native {
namespace {

// Where Abseil was built without C++17, its string_view is a type of its own, and StrCat takes only
// that.
absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status Errors::TooLarge(std::string_view what, size_t size, size_t limit,
                              std::string_view setting) {
  return absl::ResourceExhaustedError(absl::StrCat(
      View(what), " of ", size, " bytes is over the limit of ", limit, " (", View(setting), ")"));
}

std::string_view Errors::OwnerOf(ConnectionEnd end, Side side) {
  switch (end) {
    case ConnectionEnd::kDialed:
      return "channel";
    case ConnectionEnd::kAccepted:
      return "server";
    case ConnectionEnd::kNode:
      break;
  }
  // Either node may have dialled, so only the call's direction tells the two apart.
  return side == Side::kClient ? "calling node" : "called node";
}

std::string_view Errors::OwnerAtPeer(ConnectionEnd end, Side side) {
  // The peer of a node is a node, too.
  const ConnectionEnd other = end == ConnectionEnd::kDialed     ? ConnectionEnd::kAccepted
                              : end == ConnectionEnd::kAccepted ? ConnectionEnd::kDialed
                                                                : end;
  return OwnerOf(other, OtherSide(side));
}

std::string Errors::OwnSetting(ConnectionEnd end, std::string_view name, Side side) {
  return absl::StrCat(View(name), " of the ", View(OwnerOf(end, side)));
}

std::string Errors::PeerSetting(ConnectionEnd end, std::string_view name, Side side) {
  return absl::StrCat(View(name), " of the ", View(OwnerAtPeer(end, side)));
}

absl::Status Errors::OutputFull(Side side, std::string_view owner, size_t waiting, size_t size,
                                size_t limit) {
  const bool client = side == Side::kClient;
  return absl::ResourceExhaustedError(absl::StrCat(
      client ? "client side: " : "server side: ", waiting, " bytes wait to be written",
      client ? ", with the request's " : ", with the reply's ", size, " more than the limit of ",
      limit, " (max_output_bytes of the ", View(owner), ")"));
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

}  // namespace weft::internal::native
