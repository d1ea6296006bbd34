#include "weft/rpc/protocol/call_authentication.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/named_peer.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/service.h"

namespace weft::internal {
namespace {

constexpr std::string_view kAuthorization = "authorization";

std::string_view NameOf(const InboundCall& call) { return call.bound->method->info->full_name; }

// "Bearer abc" in two parts; a text without a blank is all token.
struct Authorization {
  explicit Authorization(std::string_view text) : token(text) {
    const size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return;
    scheme = absl::AsciiStrToLower(absl::string_view(text.data(), blank));
    const size_t begin = text.find_first_not_of(' ', blank);
    token = begin == std::string_view::npos ? std::string_view() : text.substr(begin);
  }
  std::string scheme;
  std::string_view token;
};

}  // namespace

CallAuthentication::CallAuthentication(IoThread& io, InboundSink& all,
                                       std::shared_ptr<AuthenticationQueue> queue,
                                       const TransportIdentity& transport)
    : io_(io),
      all_(all),
      queue_(std::move(queue)),
      transport_(transport),
      self_(std::make_shared<CallAuthentication*>(this)) {}

CallAuthentication::~CallAuthentication() {
  io_.loop->AssertInLoop();
  WEFT_DCHECK(waiting_.empty());
  // Verdicts that are on their way find nobody then.
  *self_ = nullptr;
}

void CallAuthentication::OnCall(InboundCall& call) {
  if (const absl::Status& s = call.ParseMetadata(); !s.ok()) {
    call.Refuse(absl::Status(s));
    return;
  }
  const std::vector<std::string_view> said = call.metadata().GetAll(kAuthorization);
  // Two tokens could be two callers: which of them a later stage looks at must not matter.
  if (said.size() > 1) {
    Refuse(call, absl::UnauthenticatedError("it has two authorizations, and may have one"));
    return;
  }
  // A small request would hold a whole input block for as long as the authenticator thinks.
  if (const size_t kept = call.kept_input(); kept > 0 && kept <= kSmall) call.LetGoOfInput();
  auto added = std::make_unique<Waiting>(*this, call, ++last_);
  Waiting& waiting = *added;
  waiting_.emplace(&call, std::move(added));
  if (call.bound->serial) {
    if (call.serving.queue == nullptr)
      all_.OnCallBegins(call);  // takes its place in the order now, if the key is known
    // Its key stands in the request, which is not parsed yet: it waits here for all ordered calls
    // before it.
    if (call.serving.queue == nullptr) ordered_.push_back(&waiting);
  }
  // An entry of its own, not the call's: the dispatcher behind may put the call into the wheel
  // itself.
  if (call.deadline != kNever) io_.wheel->Insert(&waiting, call.deadline);
  AuthenticationRequest asks{token_, call.origin->peer(), transport_};
  const Authorization given(said.empty() ? std::string_view() : said.front());
  if (!said.empty()) {
    asks.token = given.token;
    asks.scheme = given.scheme;
  }
  asks.method = NameOf(call);
  asks.connection = call.origin->identity();
  // The verdict is posted even if it is known at once, so the call cannot have ended when Ask
  // returns.
  waiting.question =
      queue_->Ask(asks, [loop = io_.loop, self = self_, &call,
                         number = waiting.number](absl::StatusOr<std::string> identity) {
        loop->Post([loop, self, &call, number, who = std::move(identity)](TaskFate fate) mutable {
          if (fate == TaskFate::kCancelled) return;
          loop->AssertInLoop();
          if (*self != nullptr) (*self)->OnVerdict(call, number, std::move(who));
        });
      });
}

void CallAuthentication::OnVerdict(InboundCall& call, uint64_t number,
                                   absl::StatusOr<std::string> identity) {
  const auto it = waiting_.find(&call);
  // The call may have ended meanwhile, and its object may serve another call. The number tells the
  // two apart.
  if (it == waiting_.end() || it->second->number != number) return;
  Waiting& waiting = *it->second;
  waiting.question = 0;
  if (!identity.ok()) {
    TakeOut(call);
    Refuse(call, identity.status());
    // Calls behind the refused one in their order may go now.
    PassOrdered();
    return;
  }
  waiting.identity = std::make_unique<const std::string>(*std::move(identity));
  if (call.bound->serial && call.serving.queue == nullptr) {
    PassOrdered();
  } else {
    Pass(call);
  }
}

void CallAuthentication::PassOrdered() {
  while (!ordered_.empty() && ordered_.front()->identity != nullptr) Pass(ordered_.front()->call);
}

void CallAuthentication::Pass(InboundCall& call) {
  // Taken out first: the sink may end the call at once, and come back here.
  call.SetIdentity(std::move(TakeOut(call)->identity));
  all_.OnCall(call);
}

std::unique_ptr<CallAuthentication::Waiting> CallAuthentication::TakeOut(InboundCall& call) {
  const auto it = waiting_.find(&call);
  std::unique_ptr<Waiting> taken = std::move(it->second);
  waiting_.erase(it);
  io_.wheel->Remove(taken.get());
  // A question that waits in the queue need not be asked any more.
  if (taken->question > 0) queue_->Drop(taken->question);
  if (!ordered_.empty() && call.bound->serial) std::erase(ordered_, taken.get());
  return taken;
}

void CallAuthentication::OnDeadline(Waiting& waiting) {
  io_.loop->AssertInLoop();
  InboundCall& call = waiting.call;
  TakeOut(call);  // destroys `waiting`, too
  absl::Status why = call.CheckStillWanted();
  if (why.ok()) why = absl::DeadlineExceededError("deadline passed, not executed");
  call.Refuse(Annotate(why, "while its caller was authenticated"));
  PassOrdered();
}

void CallAuthentication::OnCancelled(InboundCall& call) {
  if (!waiting_.contains(&call)) {
    all_.OnCancelled(call);
    return;
  }
  EndCancelled(call);
  PassOrdered();
}

void CallAuthentication::OnAllCancelled(CallOrigin& origin) {
  ordered_.clear();  // none of them will pass
  while (!waiting_.empty()) {
    // In order of arrival. Ending one call may end others, so look each up again.
    std::vector<std::pair<uint64_t, InboundCall*>> all;
    for (const auto& [call, waiting] : waiting_) all.emplace_back(waiting->number, &waiting->call);
    std::sort(all.begin(), all.end());
    for (const auto& [number, call] : all) {
      const auto it = waiting_.find(call);
      if (it != waiting_.end() && it->second->number == number) EndCancelled(*call);
    }
  }
  all_.OnAllCancelled(origin);
}

void CallAuthentication::EndCancelled(InboundCall& call) {
  TakeOut(call);
  const absl::Status why = call.CheckStillWanted();
  call.Refuse(why.ok() ? absl::CancelledError("cancelled before it was executed") : why);
}

void CallAuthentication::Refuse(InboundCall& call, const absl::Status& why) {
  call.Refuse(absl::Status(
      why.code(),
      NamedPeer::AtEnd(absl::StrCat("call ", std::string(NameOf(call)),
                                    ": not authenticated: ", std::string(why.message())),
                       "from", call.origin->peer())));
}

}  // namespace weft::internal
