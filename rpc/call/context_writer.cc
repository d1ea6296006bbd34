#include "weft/rpc/call/context_writer.h"

namespace weft::internal {

void ContextWriter::SetHandle(CallHandle handle) const {
  bool cancelled;
  {
    MutexLock lock(context_.mu_);
    context_.handle_ = handle;
    cancelled = context_.cancelled_;
  }
  // A Cancel that came before the handle was there found none to cancel.
  if (cancelled) handle.Cancel();
}

void ContextWriter::SetInitialMetadata(std::string_view initial_metadata) const {
  (void)context_.initial_metadata_.ReadFrom(initial_metadata);
}

void ContextWriter::SetEnd(Metadata trailers, absl::Duration handler_time,
                           bool may_have_been_executed, int attempts) const {
  context_.trailers_ = std::move(trailers);
  context_.handler_time_ = handler_time;
  context_.may_have_been_executed_ = may_have_been_executed;
  context_.attempts_ = attempts;
  // A Cancel from here on does nothing, and the context no longer keeps the carrier's memory.
  MutexLock lock(context_.mu_);
  context_.handle_ = CallHandle();
}

}  // namespace weft::internal
