// protoc's view of weft: one .proto to x.weft.h, x.weft.cc and x.weft_mock.h.
//
// A .proto without services gets no files. Parameters, given as --weft_opt=name=value:
//
//   mock   false: no x.weft_mock.h; true is the default
//   empty  true: a .proto without services gets the same files, which include x.pb.h only, for
//          builds that name the files before they can look inside; false is the default
//
// With `services_namespace`, as rpc or a::b, services, stubs and mocks are in this namespace inside
// the package's, as demo::rpc::Greeter. Messages stay where they are. This is for programs that
// also have gRPC's code of the same .proto: its classes have the same names. Without it, or where
// it is empty, they are beside the messages.
//
// Threads  any: no state
// Errors   false and a text for protoc to print: an unknown parameter, a namespace that cannot be
//          or whose name the package has given away, a file that this version cannot generate
#ifndef WEFT_CODEGEN_GENERATOR_H_
#define WEFT_CODEGEN_GENERATOR_H_

#include <cstdint>
#include <string>

#include <google/protobuf/compiler/code_generator.h>
#include <google/protobuf/descriptor.h>

namespace weft::codegen {

class Generator final : public google::protobuf::compiler::CodeGenerator {
 public:
  bool Generate(const google::protobuf::FileDescriptor* file, const std::string& parameter,
                google::protobuf::compiler::GeneratorContext* context,
                std::string* error) const override;

  // proto3's `optional` changes messages only, so it is ours for nothing.
  uint64_t GetSupportedFeatures() const override { return FEATURE_PROTO3_OPTIONAL; }
};

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_GENERATOR_H_
