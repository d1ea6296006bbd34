// protoc's view of weft: one .proto to x.weft.h, x.weft.cc and x.weft_mock.h.
//
// A .proto without services gets the same files, so that a build need not look inside; they only
// include x.pb.h. Parameters, given as --weft_opt=name=value: `mock`, true (default) or false.
//
// Threads  any: no state
// Errors   false and a text for protoc to print: an unknown parameter, a method that this version
//          cannot generate
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
