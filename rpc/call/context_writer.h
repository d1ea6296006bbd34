// Writes what a call's caller learns from its ClientContext: the carrier's side of that class.
//
// Threads  SetHandle, SetEnd: any. The others: where the call ends, before its caller is told
// Owns     nothing; the context outlives its call
#ifndef WEFT_RPC_CALL_CONTEXT_WRITER_H_
#define WEFT_RPC_CALL_CONTEXT_WRITER_H_

#include <string_view>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/client_context.h"

namespace weft::internal {

class ContextWriter {
 public:
  explicit ContextWriter(ClientContext& context) : context_(context) {}

  // Cancels the call at once where its caller has cancelled it already.
  void SetHandle(CallHandle handle) const WEFT_EXCLUDES(context_.mu_);
  // Keeps what comes in front of damaged bytes.
  void SetInitialMetadata(std::string_view initial_metadata) const;
  void SetReplyAttachment(absl::Cord attachment) const {
    context_.reply_attachment_ = std::move(attachment);
  }
  // From here on Cancel does nothing.
  void SetEnd(Metadata trailers, absl::Duration handler_time, bool may_have_been_executed,
              int attempts) const WEFT_EXCLUDES(context_.mu_);
  void SetTimes(absl::Duration queued, absl::Duration total) const {
    context_.queued_ = queued;
    context_.total_ = total;
  }

 private:
  ClientContext& context_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CONTEXT_WRITER_H_
