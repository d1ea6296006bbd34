#include "weft/rpc/client/waiting_calls.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/rpc/base/message_codec.h"

namespace weft::internal {

absl::Status WaitingCalls::Keep(OutboundCall& call, const MessageLimit& max_message) {
  call.waits().request_size = call.request.Size();
  if (call.waits().request_size > std::min(max_message.bytes, MessageCodec::kMax)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the request of ", call.waits().request_size, " bytes is over the limit of ",
                     max_message.bytes, " (", max_message.Setting(), ")"));
  }
  if (!call.request.stays() && !call.request.Share()) {
    return absl::ResourceExhaustedError(absl::StrCat("client side: no memory to keep a request of ",
                                                     call.waits().request_size, " bytes"));
  }
  if (call.state() != OutboundCall::State::kWaiting) (void)call.PrepareAgain();
  return absl::OkStatus();
}

absl::Status WaitingCalls::Closed() { return absl::UnavailableError("the channel was closed"); }

absl::Status WaitingCalls::Add(OutboundCall& call) {
  if (calls_.size() >= max_calls_ ||
      (calls_.size() > 0 && bytes_ + call.waits().request_size > max_bytes_)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("client side: ", calls_.size(), " calls with ", bytes_, " bytes wait for ",
                     AbslView(awaited_), "; the limits are ", max_calls_, " calls and ", max_bytes_,
                     " bytes (max_output_bytes of the ", AbslView(owner_), ")"));
  }
  // Calls that were given back get smaller numbers than all others: they were started before those
  // that wait, and a link gives them back in their order.
  call.wire().id = call.waits().resent > 0 ? next_given_back_++ : next_++;
  return PutBack(call);
}

OutboundCall* WaitingCalls::Take(uint64_t id) {
  OutboundCall* const call = calls_.Take(id);
  if (call != nullptr) bytes_ -= call->waits().request_size;
  return call;
}

absl::Status WaitingCalls::PutBack(OutboundCall& call) {
  if (!calls_.Insert(call.wire().id, &call)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "client side: no memory for a call more beside the ", calls_.size(), " that wait"));
  }
  bytes_ += call.waits().request_size;
  return absl::OkStatus();
}

std::vector<uint64_t> WaitingCalls::Numbers(Which which) const {
  std::vector<uint64_t> numbers;
  calls_.ForEach([&](uint64_t id, const OutboundCall* call) {
    const bool patient =
        call->options.wait_for_ready || (which == Which::kNew && call->waits().resent > 0);
    if (which == Which::kAll || !patient) numbers.push_back(id);
  });
  // The table has no order of its own; the numbers are the order of arrival.
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace weft::internal
