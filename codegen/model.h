// One .proto as the templates see it: plain structs, every C++ name settled.
//
// Threads  any: values
// Errors   what cannot be generated: InvalidArgument; protoc names the file in the first line
#ifndef WEFT_CODEGEN_MODEL_H_
#define WEFT_CODEGEN_MODEL_H_

#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "absl/status/statusor.h"
#include "weft/codegen/method_options.h"

namespace weft::codegen {

// The same as weft::MethodKind (rpc/base/method.h), which generated code names.
enum class MethodKind { kUnary, kClientStreaming, kServerStreaming, kBidirectional };

struct MethodModel {
  std::string wire_name;   // "Say", as the .proto has it
  std::string name;        // "Say" in C++: handler and blocking call
  std::string async_name;  // "SayAsync"
  std::string coro_name;   // "SayCoro"
  std::string constant;    // "kSay"
  std::string request;     // "::demo::HelloRequest"
  std::string reply;       // "::demo::HelloReply"
  std::string comment;     // as C++, without indentation and last line feed; may be empty
  MethodKind kind = MethodKind::kUnary;
  MethodOptions options;
  bool deprecated = false;
};

struct ServiceModel {
  std::string full_name;  // "demo.Greeter", as the .proto has it
  std::string name;       // "Greeter" in C++
  std::string mock_name;  // "MockGreeterStub"
  std::string comment;
  std::vector<MethodModel> methods;
  bool deprecated = false;
};

struct FileModel {
  std::string path;           // "demo/greeter.proto"
  std::string stem;           // "demo/greeter"
  std::string cpp_namespace;  // "demo::v1", or "" for the global one: the services'
  std::vector<ServiceModel> services;
  bool uses_deprecated = false;  // the generated code itself names something deprecated
  bool streams = false;          // a method does
};

// The services are in `services_namespace`, as "rpc" or "a::b", inside the namespace of the package
// that has the messages; "": in that one itself.
absl::StatusOr<FileModel> BuildModel(const google::protobuf::FileDescriptor& file,
                                     const std::string& services_namespace = "");

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_MODEL_H_
