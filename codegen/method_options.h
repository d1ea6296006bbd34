// The options of a method, from rpc/options.proto and from protobuf itself, as a .proto sets them.
//
// Threads  any: no state
#ifndef WEFT_CODEGEN_METHOD_OPTIONS_H_
#define WEFT_CODEGEN_METHOD_OPTIONS_H_

#include <cstdint>
#include <string>

#include <google/protobuf/descriptor.h>

namespace weft::codegen {

struct MethodOptions {
  bool run_inline = false;
  bool idempotent = false;
  uint32_t timeout_ms = 0;  // 0: none given
  bool ordered = false;
  std::string pool;  // the method's, or its service's
};

// Right whether or not options.pb.cc is linked into this program, and wherever options.proto was
// imported from: the extensions are looked up by name in the method's own pool.
MethodOptions ReadMethodOptions(const google::protobuf::MethodDescriptor& method);

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_METHOD_OPTIONS_H_
