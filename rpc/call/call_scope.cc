#include "weft/rpc/call/call_scope.h"

#include "weft/rpc/call/inbound_call.h"

namespace weft::internal {
namespace {

thread_local CallScope::Enter* current_enter = nullptr;

}  // namespace

std::shared_ptr<CallScope> CallScope::Current() {
  const Enter* const enter = current_enter;
  if (enter == nullptr) return nullptr;
  return enter->call_ != nullptr ? enter->call_->Scope() : enter->scope_;
}

CallScope::Enter::Enter(InboundCall& call)
    : call_(&call), outer_(std::exchange(current_enter, this)) {}
CallScope::Enter::Enter(std::shared_ptr<CallScope> scope)
    : scope_(std::move(scope)), outer_(std::exchange(current_enter, this)) {}
CallScope::Enter::~Enter() { current_enter = outer_; }

}  // namespace weft::internal
