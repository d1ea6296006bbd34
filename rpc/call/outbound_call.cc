#include "weft/rpc/call/outbound_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/call/client_context.h"

namespace weft {

void OutboundCall::Started(CallHandle handle) {
  if (scope != nullptr) cancel_by_scope_.emplace(scope->stop_token(), CancelByScope{handle});
  if (options.context != nullptr) options.context->Started(std::move(handle));
}

bool OutboundCall::PrepareAgain() {
  if (!waited && !context_stays && options.context != nullptr) {
    KeepAttachment(options.context->attachment());
  }
  waited = true;
  initial_metadata.reset();  // of a try that comes to nothing
  // An interception has its own; a caller that waits keeps its context.
  if (context_stays || has_own_metadata || interception != nullptr) return true;
  if (options.context != nullptr) KeepMetadata(options.context->metadata());
  return true;
}

void OutboundCall::KeepMetadata(const Metadata& metadata) {
  waiting_metadata = metadata;
  has_own_metadata = true;
}

void OutboundCall::KeepAttachment(const absl::Cord& attachment) {
  waiting_attachment = attachment;
  has_own_attachment = true;
}

std::string OutboundCall::WhereTimeWent(MonoTime now, bool written) const {
  const auto ms = [](Nanos d) {
    return absl::StrFormat("%.1f ms", std::chrono::duration<double, std::milli>(d).count());
  };
  return absl::StrCat(" (", ms(sent - started), " until it was given to the connection, ",
                      ms(now - sent),
                      written ? " at the server or on the way)" : " in this side's output)");
}

void OutboundCall::KeepRequest(char* room, size_t size) {
  MessageCodec::WriteTo(*request, room);
  kept = std::string_view(room, size);
  serialized = true;
}

const absl::Cord* OutboundCall::SomeAttachment() const {
  const absl::Cord& own = has_own_attachment ? waiting_attachment : options.context->attachment();
  return own.empty() ? nullptr : &own;
}

const Metadata& OutboundCall::SomeMetadata() const {
  if (interception != nullptr) return interception->metadata();
  return has_own_metadata ? waiting_metadata : options.context->metadata();
}

}  // namespace weft
