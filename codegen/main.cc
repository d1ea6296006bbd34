// protoc's door: reads a CodeGeneratorRequest from stdin, writes the response to stdout. Called by
// hand it says its version and what protoc can give it.
#include <cstdio>
#include <string_view>

#include <google/protobuf/compiler/plugin.h>

#include "weft/codegen/generator.h"

namespace {

constexpr char kHelp[] =
    R"(protoc-gen-weft makes weft's services and stubs out of .proto files. protoc starts it:

  protoc --plugin=protoc-gen-weft=<this program> --weft_out=<folder> --cpp_out=<folder> \
         -I<weft's include folder> -I. x.proto

x.proto with a service gives x.weft.h, x.weft.cc and x.weft_mock.h; without one, nothing.
Parameters, given as --weft_opt=<name>=<value>:

  mock=true|false   false: no x.weft_mock.h, which needs gMock; default true
  empty=true|false  true: files for a .proto without services too; default false
  services_namespace=<name>
                    rpc, or a::b: services, stubs and mocks are in this namespace
                    inside the package's, beside gRPC's code of the same .proto
)";

}  // namespace

int main(int argc, char** argv) {
  // protoc gives no arguments, so these are a person's.
  const std::string_view argument = argc == 2 ? argv[1] : "";
  if (argument == "--version") {
    std::printf("protoc-gen-weft %s\n", WEFT_VERSION);
    return 0;
  }
  if (argument == "--help" || argument == "-h") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  const weft::codegen::Generator generator;
  return google::protobuf::compiler::PluginMain(argc, argv, &generator);
}
