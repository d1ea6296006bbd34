// What a server does with a method's calls before they run. Methods without any have none.
//
// Threads  fixed before the first call, then any
#ifndef WEFT_RPC_SERVER_METHOD_RULES_H_
#define WEFT_RPC_SERVER_METHOD_RULES_H_

#include "weft/rpc/method_options.h"

namespace weft {

struct MethodRules {
  bool ordered = false;
  CallKey key = nullptr;
  RequestKey request_key = nullptr;

  bool serial() const { return ordered || key != nullptr || request_key != nullptr; }
  // The key is known before the whole request is there.
  bool key_comes_first() const { return request_key == nullptr; }
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_METHOD_RULES_H_
