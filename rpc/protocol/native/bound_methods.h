// The methods that a peer has bound to numbers, and the unknown names among them.
//
// Threads  value; the session's loop
// Owns     a table as long as the highest number; the unknown names, counted in the connection's
//          account
// Errors   Bind: RESOURCE_EXHAUSTED without memory for the table or the name
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

namespace weft::internal::native {

class BoundMethods {
 public:
  // The method of a number; null: unknown, or never bound.
  const BoundMethod* Find(uint16_t number) const {
    return number < methods_.size() ? methods_[number] : nullptr;
  }
  // True if the number was bound to an unknown name. `*name`: that name.
  bool FindUnknown(uint16_t number, std::string* name) const;
  // Binds the number to `bound`; null: to an unknown name. `number` is not 0.
  absl::Status Bind(uint16_t number, const BoundMethod* bound, std::string_view name,
                    InputAccount& account);

 private:
  std::vector<const BoundMethod*> methods_;  // by number
  std::unique_ptr<UnknownMethods> unknown_;  // made for the first unknown name
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_BOUND_METHODS_H_
