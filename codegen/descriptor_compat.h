// The parts of protobuf's descriptor API that changed between 3.21 and today, in one place.
//
// Names came back as `const std::string&` up to version 29 and as `absl::string_view` since; here
// they are std::string with either.
//
// Threads  any: reads descriptors, which never change
#ifndef WEFT_CODEGEN_DESCRIPTOR_COMPAT_H_
#define WEFT_CODEGEN_DESCRIPTOR_COMPAT_H_

#include <string>

#include <google/protobuf/compiler/code_generator.h>
#include <google/protobuf/compiler/cpp/names.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

namespace weft::codegen {

// Names of a message, enum, service or method: "Say" and "demo.Greeter.Say".
template <typename Descriptor>
std::string NameOf(const Descriptor& descriptor) {
  return std::string(descriptor.name());
}
template <typename Descriptor>
std::string FullNameOf(const Descriptor& descriptor) {
  return std::string(descriptor.full_name());
}

// "demo.v1", or "" where the file names none.
inline std::string PackageOf(const google::protobuf::FileDescriptor& file) {
  return std::string(file.package());
}

// "demo/greeter.proto" and "demo/greeter", as protoc names its own output after.
inline std::string PathOf(const google::protobuf::FileDescriptor& file) {
  return std::string(file.name());
}
inline std::string StemOf(const google::protobuf::FileDescriptor& file) {
  return google::protobuf::compiler::StripProto(PathOf(file));
}

// "::demo::Outer_Inner": the class that protoc's own C++ generator writes for this message. Asking
// it keeps us right where its rules for keywords and nesting change.
inline std::string CppTypeOf(const google::protobuf::Descriptor& message) {
  return std::string(google::protobuf::compiler::cpp::QualifiedClassName(&message));
}

// The last part of that, for messages and enums: "Outer_Inner".
template <typename Descriptor>
std::string CppClassOf(const Descriptor& descriptor) {
  return std::string(google::protobuf::compiler::cpp::ClassName(&descriptor));
}

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_DESCRIPTOR_COMPAT_H_
