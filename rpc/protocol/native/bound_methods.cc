#include "weft/rpc/protocol/native/bound_methods.h"

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/try_allocate.h"

namespace weft::internal::native {

bool BoundMethods::FindUnknown(uint16_t number, std::string* name) const {
  if (unknown_ == nullptr || !unknown_->Contains(number)) return false;
  *name = unknown_->Name(number);
  return true;
}

absl::Status BoundMethods::Bind(uint16_t number, const BoundMethod* bound, std::string_view name,
                                InputAccount& account) {
  WEFT_DCHECK(number > 0);
  if (methods_.size() <= number &&
      // The peer chooses the number, and with it the size of the table.
      !TryAllocate([&] { methods_.resize(number + size_t{1}, nullptr); })) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for a table of ", number, " methods"));
  }
  methods_[number] = bound;
  if (bound != nullptr) {
    // The number may have been bound to an unknown name before.
    if (unknown_ != nullptr) unknown_->Erase(number);
    return absl::OkStatus();
  }
  if (unknown_ == nullptr) unknown_ = std::make_unique<UnknownMethods>();
  // Charged before it is kept: a peer could name unknown methods without end.
  if (unknown_->KeepsMore(number)) {
    if (absl::Status s = account.TryAdd(UnknownMethods::kMaxNameBytes); !s.ok()) return s;
  }
  unknown_->Add(number, name);
  return absl::OkStatus();
}

}  // namespace weft::internal::native
