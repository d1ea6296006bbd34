#include "weft/rpc/protocol/native/link_target.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/native/native_link.h"

namespace weft::native {
namespace {

// As a channel's, ChannelOptions::timeout: here there is nobody to set another.
constexpr Nanos kTimeout = std::chrono::seconds(10);

Nanos TimeoutOf(const OutboundCall& call) {
  if (call.options.timeout != absl::ZeroDuration()) return ToNanos(call.options.timeout);
  return call.method.timeout_ms > 0 ? Nanos(std::chrono::milliseconds(call.method.timeout_ms))
                                    : kTimeout;
}

}  // namespace

void LinkTarget::Start(OutboundCall& call) {
  if (home_.InForkedChild()) {
    CallEnd end;
    end.may_have_been_executed = false;
    end.by = CallEnd::By::kChannel;
    end.status = ForkGuard::Refused(absl::StrCat("call ", std::string(call.method.full_name)));
    call.End(end);
    return;
  }
  if (call.stream != nullptr) call.stream->SetLoop(link_.frames().shared_loop());
  call.started = link_.loop().clock().Now();
  call.deadline = SaturatingAdd(call.started, TimeoutOf(call));
  call.codec = call.options.compression.value_or(Compression::kNone);
  if (!call.options.detached) call.scope = CallScope::Current();
  if (call.scope != nullptr) call.deadline = std::min(call.deadline, call.scope->deadline());
  if (call.deadline <= call.started) {
    CompleteLater(call, absl::DeadlineExceededError("its deadline has passed before it was sent"));
    return;
  }
  if (call.options.context != nullptr && call.options.context->cancelled()) {
    CompleteLater(call, absl::CancelledError("cancelled by the caller before it was sent"));
    return;
  }
  absl::Status why;
  switch (link_.TryStart(call, &why)) {
    case CallLink::StartResult::kStarted:
      return;
    case CallLink::StartResult::kRefused:
      break;
    case CallLink::StartResult::kGone:
      why = absl::UnavailableError("the connection has ended, or takes no more calls");
      break;
  }
  CompleteLater(call, std::move(why));
}

// The call was not sent.
void LinkTarget::CompleteLater(OutboundCall& call, absl::Status status) {
  link_.loop().Post(
      [keep = link_.shared_from_this(), this, &call, s = std::move(status)](TaskFate) {
        CallEnd end;
        end.may_have_been_executed = false;
        end.by = CallEnd::By::kChannel;
        end.status = Annotate(
            s, absl::StrCat("call ", std::string(call.method.full_name), " to ", link_.peer()));
        call.End(end);
      });
}

}  // namespace weft::native
