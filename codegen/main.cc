// protoc's door: reads a CodeGeneratorRequest from stdin, writes the response to stdout.
#include <google/protobuf/compiler/plugin.h>

#include "weft/codegen/generator.h"

int main(int argc, char** argv) {
  const weft::codegen::Generator generator;
  return google::protobuf::compiler::PluginMain(argc, argv, &generator);
}
