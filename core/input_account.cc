#include "weft/core/input_account.h"

#include <utility>

namespace weft::internal {

InputAccount::InputAccount(InputBudgets budgets)
    : budgets_(std::move(budgets)), known_(budgets_.unknown == nullptr) {}

// Gives back the bytes that were still counted when the connection ended.
InputAccount::~InputAccount() { Remove(held()); }

absl::Status InputAccount::Ask(size_t before, size_t n) {
  if (!known()) {
    if (absl::Status s = budgets_.unknown->Check(n); !s.ok()) return s;
  }
  // Only whole steps are asked for and counted, so that the usual read touches no counter that is
  // shared by all connections.
  if (MustAsk(before, n)) {
    const size_t more = Steps(before + n) - Steps(before);
    for (const auto* budget : {budgets_.server.get(), budgets_.runtime.get()}) {
      if (budget == nullptr) continue;
      if (absl::Status s = budget->Check(more); !s.ok()) return s;
    }
  }
  Add(n);
  return absl::OkStatus();
}

void InputAccount::SetKnown() {
  // From here on the bytes count against the server's and the runtime's budgets alone, where they
  // are counted already.
  if (known_.exchange(true, std::memory_order_relaxed)) return;
  budgets_.unknown->Change(held(), 0);
}

void InputAccount::PassOn(size_t before, size_t now) {
  if (budgets_.server != nullptr) budgets_.server->Change(before, now);
  if (budgets_.runtime != nullptr) budgets_.runtime->Change(before, now);
}

void InputAccount::CountUnknown(size_t before, size_t now) {
  budgets_.unknown->Change(before, now);
}

}  // namespace weft::internal
