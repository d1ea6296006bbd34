#include "weft/core/callback_faults.h"

#include <exception>
#include <string>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

thread_local const std::shared_ptr<CallbackFaults>* current_faults = nullptr;

// The exception that is being handled, in words.
std::string Thrown() {
  // The only way to learn the type of an exception that was caught as `...`.
  try {
    std::rethrow_exception(std::current_exception());
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

}  // namespace

std::shared_ptr<CallbackFaults> CallbackFaults::Here() {
  return current_faults != nullptr ? *current_faults : nullptr;
}

void CallbackFaults::Caught(CallbackFaults* faults, const char* what) noexcept {
  if (faults == nullptr && current_faults != nullptr) faults = current_faults->get();
  const std::string line = absl::StrCat(what, " threw: ", Thrown());
  if (faults == nullptr) {
    // A callback that throws is a bug that must show somewhere, also on threads that belong to no
    // runtime.
    Log(StderrLogSink(), LogLevel::kWarning).Error(line);
    return;
  }
  faults->count_.fetch_add(1, std::memory_order_relaxed);
  int64_t dropped = 0;
  if (!faults->limiter_.Allow(Clock::System().Now(), &dropped)) return;
  faults->log_.Error(dropped == 0 ? line
                                  : absl::StrCat(line, " (", dropped, " more were not logged)"));
}

CallbackFaults::Scope::Scope(std::shared_ptr<CallbackFaults> faults)
    : faults_(std::move(faults)), outer_(std::exchange(current_faults, &faults_)) {}
CallbackFaults::Scope::~Scope() { current_faults = outer_; }

}  // namespace weft::internal
