#include "weft/rpc/call/responder.h"

namespace weft::internal {
namespace {

thread_local HandlerScope* current_scope = nullptr;

}  // namespace

HandlerScope::HandlerScope(const InboundCall& call)
    : call_(&call), outer_(std::exchange(current_scope, this)) {}
HandlerScope::~HandlerScope() { current_scope = outer_; }

bool HandlerScope::Leave(const InboundCall& call) {
  HandlerScope* const scope = current_scope;
  // Only the innermost handler of this thread can be the one that throws. A responder of another
  // call, or one that goes on another thread, answers by itself.
  if (scope == nullptr || scope->call_ != &call || std::uncaught_exceptions() == 0) return false;
  scope->left_ = true;
  return true;
}

}  // namespace weft::internal
