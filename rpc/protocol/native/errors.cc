#include "weft/rpc/protocol/native/errors.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "weft/core/absl_view.h"

namespace weft::internal::native {
namespace {

// The receiver's side in the call that the frame belongs to; kServer also where there is no call.
Side ReceiverOf(const FrameHeader& header) {
  const bool of_own_call = header.type == FrameType::kResponse ||
                           header.type == FrameType::kHeaders || header.has(kReply);
  return of_own_call ? Side::kClient : Side::kServer;
}

}  // namespace

absl::Status Errors::TooLarge(std::string_view what, size_t size, size_t limit,
                              std::string_view setting) {
  return absl::ResourceExhaustedError(absl::StrCat(AbslView(what), " of ", size,
                                                   " bytes is over the limit of ", limit, " (",
                                                   AbslView(setting), ")"));
}

std::string_view Errors::OwnerOf(ConnectionEnd end, Side side) {
  switch (end) {
    case ConnectionEnd::kDialled:
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
  const ConnectionEnd other = end == ConnectionEnd::kDialled    ? ConnectionEnd::kAccepted
                              : end == ConnectionEnd::kAccepted ? ConnectionEnd::kDialled
                                                                : end;
  return OwnerOf(other, OtherSide(side));
}

std::string Errors::OwnSetting(ConnectionEnd end, std::string_view name, Side side) {
  return absl::StrCat(AbslView(name), " of the ", AbslView(OwnerOf(end, side)));
}

std::string Errors::PeerSetting(ConnectionEnd end, std::string_view name, Side side) {
  return absl::StrCat(AbslView(name), " of the ", AbslView(OwnerAtPeer(end, side)));
}

MessageLimit Errors::MaxMessage(const SessionLimits& limits, ConnectionEnd end, Side side) {
  return {limits.max_message_bytes, OwnerOf(end, side)};
}

absl::Status Errors::OutputFull(Side side, std::string_view owner, size_t waiting, size_t size,
                                size_t limit) {
  const bool client = side == Side::kClient;
  return absl::ResourceExhaustedError(absl::StrCat(
      client ? "client side: " : "server side: ", waiting, " bytes wait to be written",
      client ? ", with the request's " : ", with the reply's ", size, " more than the limit of ",
      limit, " (max_output_bytes of the ", AbslView(owner), ")"));
}

std::string Errors::BrokenFrame(FrameError error, const FrameHeader& header, size_t max_frame,
                                ConnectionEnd end) {
  std::string what(FrameReader::Describe(error));
  absl::StrAppend(&what,
                  absl::StrFormat(" (type 0x%02x, flags 0x%02x, length %d",
                                  static_cast<int>(header.type), header.flags, header.length));
  if (error == FrameError::kTooLong) {
    absl::StrAppend(&what, ", limit ", max_frame, ", ",
                    OwnSetting(end, "max_frame_bytes", ReceiverOf(header)));
  }
  what += ')';
  return what;
}

absl::Status Errors::Closed(std::string_view why) {
  return absl::UnavailableError(absl::StrCat("connection closed: ", AbslView(why)));
}

}  // namespace weft::internal::native
