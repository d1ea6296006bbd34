#include "weft/rpc/call/outbound_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/context_writer.h"

namespace weft::internal {

void OutboundCall::Started(CallHandle handle) {
  // The stop callback may run inside emplace, on this thread: the handler's call may be cancelled
  // already.
  if (plan_.scope != nullptr) {
    cancel_by_scope_.emplace(plan_.scope->stop_token(), CancelByScope{handle});
  }
  if (options.context != nullptr) ContextWriter(*options.context).SetHandle(std::move(handle));
}

bool OutboundCall::PrepareAgain() {
  if (state_ != State::kWaiting) set_state(State::kWaiting);
  wire_.initial_metadata.reset();  // of the try that failed
  // A caller that waits keeps its context.
  if (context_stays_ || options.context == nullptr) return true;
  if (!own().attachment.has_value()) KeepAttachment(options.context->attachment());
  // An interception has copied the metadata already.
  if (plan_.interception == nullptr && !own().metadata.has_value())
    KeepMetadata(options.context->metadata());
  return true;
}

OutboundCall::Own& OutboundCall::own() {
  if (own_ == nullptr) own_ = std::make_unique<Own>();
  return *own_;
}

void OutboundCall::KeepMetadata(const Metadata& metadata) { own().metadata = metadata; }

void OutboundCall::KeepAttachment(const absl::Cord& attachment) { own().attachment = attachment; }

std::string OutboundCall::WhereTimeWent(MonoTime now, bool written) const {
  return absl::StrCat(" (", InMs(wire_.sent - plan_.started),
                      " until it was given to the connection, ", InMs(now - wire_.sent),
                      written ? " at the server or on the way)" : " in this side's output)");
}

const absl::Cord* OutboundCall::SomeAttachment() const {
  const absl::Cord* attachment = nullptr;
  if (own_ != nullptr && own_->attachment.has_value()) {
    attachment = &*own_->attachment;
  } else if (options.context != nullptr) {
    attachment = &options.context->attachment();
  }
  return attachment == nullptr || attachment->empty() ? nullptr : attachment;
}

const Metadata* OutboundCall::SomeMetadata() const {
  // In this order: an interceptor's metadata contains the caller's, and a copy replaces the
  // context's, which may be gone.
  if (plan_.interception != nullptr) return &plan_.interception->metadata();
  if (own_ != nullptr && own_->metadata.has_value()) return &*own_->metadata;
  return options.context != nullptr ? &options.context->metadata() : nullptr;
}

}  // namespace weft::internal
