// Whole files: each .proto of tests/golden must give the text beside it, byte by byte. After a
// change that is meant, run this program once with WEFT_UPDATE_GOLDEN=1 and read the difference.
#include "weft/codegen/generator.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/codegen/proto_files.h"

namespace weft::codegen {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Keeps the files that the generator writes.
class MemoryContext : public google::protobuf::compiler::GeneratorContext {
 public:
  google::protobuf::io::ZeroCopyOutputStream* Open(const std::string& name) override {
    return new google::protobuf::io::StringOutputStream(&files_[name]);
  }

  const std::map<std::string, std::string>& files() const { return files_; }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, text] : files_) names.push_back(name);
    return names;
  }

 private:
  std::map<std::string, std::string> files_;
};

struct Result {
  bool ok = false;
  std::string error;
  MemoryContext context;
};

std::unique_ptr<Result> Generate(const google::protobuf::FileDescriptor* file,
                                 const std::string& parameter) {
  auto result = std::make_unique<Result>();
  if (file == nullptr) return result;
  result->ok = Generator().Generate(file, parameter, &result->context, &result->error);
  return result;
}

constexpr char kGreeter[] =
    "syntax = 'proto3'; message Q {} service Greeter { rpc Say(Q) returns (Q); }";

// ---- Golden files

class GoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, GivesTheTextBesideIt) {
  ProtoFiles files;
  const auto result = Generate(files.Load(GetParam()), "empty=true");
  ASSERT_TRUE(result->ok) << result->error;
  EXPECT_EQ(result->context.files().size(), 3u);
  for (const auto& [name, text] : result->context.files()) {
    const std::filesystem::path path = GoldenFolder() / name;
    if (std::getenv("WEFT_UPDATE_GOLDEN") != nullptr) {
      std::ofstream(path, std::ios::binary) << text;
    }
    EXPECT_EQ(ReadFile(path), text) << path;
  }
}

std::vector<std::string> GoldenProtos() {
  std::set<std::string> protos;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenFolder())) {
    if (entry.path().extension() == ".proto") protos.insert(entry.path().filename().string());
  }
  return {protos.begin(), protos.end()};
}

INSTANTIATE_TEST_SUITE_P(Protos, GoldenTest, testing::ValuesIn(GoldenProtos()), [](const auto& p) {
  return std::filesystem::path(p.param).stem().string();
});

TEST(Golden, NothingLiesThereThatNoProtoGives) {
  std::set<std::string> stems;
  for (const std::string& proto : GoldenProtos()) {
    stems.insert(std::filesystem::path(proto).stem().string());
  }
  for (const auto& entry : std::filesystem::directory_iterator(GoldenFolder())) {
    const std::string name = entry.path().filename().string();
    if (name.find(".weft") == std::string::npos) continue;
    EXPECT_TRUE(stems.count(name.substr(0, name.find('.'))) == 1) << entry.path();
  }
}

// ---- Parameters

TEST(Generator, WritesThreeFilesBesideEachOther) {
  ProtoFiles files;
  const auto result = Generate(files.Load("a/b.proto", kGreeter), "");
  ASSERT_TRUE(result->ok) << result->error;
  EXPECT_THAT(result->context.names(), ElementsAre("a/b.weft.cc", "a/b.weft.h", "a/b.weft_mock.h"));
  EXPECT_THAT(result->context.files().at("a/b.weft.cc"), HasSubstr("#include \"a/b.weft.h\""));
  EXPECT_THAT(result->context.files().at("a/b.weft.h"), HasSubstr("#include \"a/b.pb.h\""));
}

TEST(Generator, LeavesTheMockOut) {
  ProtoFiles files;
  const auto* file = files.Load("x.proto", kGreeter);
  EXPECT_THAT(Generate(file, "mock=false")->context.names(), ElementsAre("x.weft.cc", "x.weft.h"));
  EXPECT_THAT(Generate(file, "mock=true")->context.names(),
              ElementsAre("x.weft.cc", "x.weft.h", "x.weft_mock.h"));
}

TEST(Generator, WritesNothingForAProtoWithoutServicesUnlessToldTo) {
  ProtoFiles files;
  const auto* file = files.Load("x.proto", "syntax = 'proto3'; message Q {}");
  const auto result = Generate(file, "");
  EXPECT_TRUE(result->ok) << result->error;
  EXPECT_THAT(result->context.files(), IsEmpty());
  EXPECT_THAT(Generate(file, "empty=true,mock=false")->context.names(),
              ElementsAre("x.weft.cc", "x.weft.h"));
}

TEST(Generator, RefusesUnknownParameters) {
  ProtoFiles files;
  const auto* file = files.Load("x.proto", kGreeter);
  for (const char* parameter :
       {"mocks=false", "mock", "mock=no", "mock=false,fast=true", "x", "empty=1"}) {
    const auto result = Generate(file, parameter);
    EXPECT_FALSE(result->ok) << parameter;
    EXPECT_THAT(result->error, HasSubstr("unknown parameter")) << parameter;
    EXPECT_THAT(result->error, HasSubstr("mock=true|false")) << parameter;
    EXPECT_THAT(result->context.files(), IsEmpty()) << parameter;
  }
}

// ---- Services in a namespace of their own

TEST(Generator, PutsServicesIntoTheNamespaceItIsTold) {
  ProtoFiles files;
  const auto* file = files.Load("x.proto",
                                "syntax = 'proto3'; package demo.v1; message Q {} "
                                "service Greeter { rpc Say(Q) returns (stream Q); }");
  // The last two hide namespaces that generated code names, so that code has to begin these names
  // with `::`.
  for (const char* name : {"rpc", "a::b", "weft", "demo"}) {
    const auto result = Generate(file, absl::StrCat("services_namespace=", name));
    ASSERT_TRUE(result->ok) << result->error;
    for (const auto& [path, text] : result->context.files()) {
      EXPECT_THAT(text, HasSubstr(absl::StrCat("namespace demo::v1::", name, " {"))) << path;
      EXPECT_THAT(text, HasSubstr("::demo::v1::Q")) << path;
      EXPECT_THAT(text, Not(HasSubstr(absl::StrCat(name, "::Q")))) << path;
    }
    // The name on the wire stays the same.
    EXPECT_THAT(result->context.files().at("x.weft.h"), HasSubstr("\"demo.v1.Greeter/Say\""));
  }
  EXPECT_THAT(Generate(files.Load("y.proto", kGreeter), "services_namespace=rpc")
                  ->context.files()
                  .at("y.weft.h"),
              HasSubstr("\nnamespace rpc {"));
  // An empty value means the same as no parameter.
  EXPECT_EQ(Generate(file, "services_namespace=")->context.files(),
            Generate(file, "")->context.files());
}

TEST(Generator, RefusesANamespaceThatCannotBe) {
  ProtoFiles files;
  const auto* file =
      files.Load("x.proto",
                 "syntax = 'proto3'; package demo; message Qq { message In {} } "
                 "enum Kind { ZERO = 0; } service Greeter { rpc Say(Qq) returns (Qq); }");
  for (const char* name :
       {"::rpc", "a::", "a.b", "a:b", "1a", "a b", "int", "std", "final", "EOF", "_a", "A_B"}) {
    const auto result = Generate(file, absl::StrCat("services_namespace=", name));
    EXPECT_FALSE(result->ok) << name;
    EXPECT_THAT(result->error, HasSubstr(absl::StrCat("services_namespace=", name, ": '"))) << name;
    EXPECT_THAT(result->context.files(), IsEmpty()) << name;
  }
  // The .proto itself has these names there: a message, a nested one, an enum, one of its values,
  // and a service.
  for (const char* name : {"Qq", "Qq_In", "Kind", "Kind::a", "ZERO", "Greeter"}) {
    const auto result = Generate(file, absl::StrCat("services_namespace=", name));
    EXPECT_FALSE(result->ok) << name;
    EXPECT_THAT(result->error, HasSubstr("the .proto has a demo.")) << name;
    EXPECT_THAT(result->context.files(), IsEmpty()) << name;
  }
}

TEST(Generator, ServicesGiveWayToMessagesOfThePackageTheyAreIn) {
  ProtoFiles files;
  files.Add("rpc.proto", "syntax = 'proto3'; package demo.rpc; message Greeter {}");
  const auto* file = files.Load("x.proto",
                                "syntax = 'proto3'; package demo; import 'rpc.proto'; "
                                "service Greeter { rpc Say(rpc.Greeter) returns (rpc.Greeter); }");
  EXPECT_THAT(Generate(file, "")->context.files().at("x.weft.h"),
              HasSubstr("struct Greeter final"));
  // The services are in package demo.rpc now, which has a class of that name already.
  EXPECT_THAT(Generate(file, "services_namespace=rpc")->context.files().at("x.weft.h"),
              HasSubstr("struct Greeter_ final"));
}

// ---- What comes out

TEST(Generator, WritesNothingWhereItRefuses) {
  ProtoFiles files;
  const auto result =
      Generate(files.Load("x.proto",
                          "syntax = 'proto2'; option cc_generic_services = true; message Q {} "
                          "service S { rpc Say(Q) returns (Q); }"),
               "");
  EXPECT_FALSE(result->ok);
  EXPECT_THAT(result->error, HasSubstr("option cc_generic_services"));
  EXPECT_THAT(result->context.files(), IsEmpty());
}

TEST(Generator, TakesProto3Optional) {
  const Generator generator;
  EXPECT_EQ(generator.GetSupportedFeatures() & Generator::FEATURE_PROTO3_OPTIONAL,
            Generator::FEATURE_PROTO3_OPTIONAL);
}

TEST(Generator, DollarsInCommentsAreNoHoles) {
  ProtoFiles files;
  const auto result = Generate(files.Load("x.proto",
                                          "syntax = 'proto3'; message Q {}\n"
                                          "// Costs $5, or $name$.\n"
                                          "service S { rpc Say(Q) returns (Q); }"),
                               "");
  ASSERT_TRUE(result->ok) << result->error;
  EXPECT_THAT(result->context.files().at("x.weft.h"), HasSubstr("// Costs $5, or $name$.\n"));
}

TEST(Generator, LeavesNoHolesAndNoTrailingSpace) {
  ProtoFiles files;
  // This .proto has every name that could come in the way of generated C++.
  const auto result = Generate(files.Load("tests/protos/awkward_names.proto"), "");
  ASSERT_TRUE(result->ok) << result->error;
  for (const auto& [name, text] : result->context.files()) {
    EXPECT_THAT(text, Not(HasSubstr(" \n"))) << name;
    EXPECT_THAT(text, Not(HasSubstr("\n\n\n"))) << name;
    EXPECT_THAT(text, Not(HasSubstr("$$"))) << name;
  }
}

}  // namespace
}  // namespace weft::codegen
