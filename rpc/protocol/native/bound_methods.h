// The methods that a peer has bound to numbers, and the names among them that stand for none.
//
// Threads  value; the session's loop
// Owns     the table, as long as the highest number; the names that are unknown, counted in the
//          connection's account
// Errors   Bind: RESOURCE_EXHAUSTED where there is no memory for the table or the name
#ifndef WEFT_RPC_PROTOCOL_NATIVE_BOUND_METHODS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_BOUND_METHODS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/input_account.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/protocol/native/unknown_methods.h"

namespace weft::native {

class BoundMethods {
 public:
  // The method of a number; null: it is unknown, or the number was never bound.
  const BoundMethod* Find(uint16_t number) const {
    return number < methods_.size() ? methods_[number] : nullptr;
  }
  // Whether the number was bound to a name that is unknown. `*name`: that name.
  bool FindUnknown(uint16_t number, std::string* name) const;
  // The number stands for `bound` from now on, or, where that is null, for a name that is unknown.
  // It is not 0.
  absl::Status Bind(uint16_t number, const BoundMethod* bound, std::string_view name,
                    InputAccount& account);

 private:
  std::vector<const BoundMethod*> methods_;  // by number
  std::unique_ptr<UnknownMethods> unknown_;  // with the first one
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_BOUND_METHODS_H_
