// One .proto as the templates see it: its services and methods, their options, names that clash
// with one another or with C++, and files that are refused.
#include "weft/codegen/model.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "tests/codegen/proto_files.h"

namespace weft::codegen {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kMessages[] = "message Q { message Part {} } message R {} ";

// Returns the model of x.proto with that text.
FileModel ModelOf(const std::string& text) {
  ProtoFiles files;
  const auto* file = files.Load("x.proto", text);
  if (file == nullptr) return {};
  absl::StatusOr<FileModel> model = BuildModel(*file);
  EXPECT_TRUE(model.ok()) << model.status();
  return model.value_or(FileModel());
}

FileModel ModelOfService(const std::string& service) {
  return ModelOf(absl::StrCat("syntax = 'proto3'; package demo; ", kMessages, service));
}

absl::Status RefusalOf(const std::string& text) {
  ProtoFiles files;
  const auto* file = files.Load("dir/x.proto", text);
  if (file == nullptr) return absl::OkStatus();
  return BuildModel(*file).status();
}

std::vector<std::string> ServiceNames(const FileModel& model) {
  std::vector<std::string> names;
  for (const ServiceModel& service : model.services) names.push_back(service.name);
  return names;
}

// Returns name, async_name, coro_name and constant of each method.
std::vector<std::string> MethodNames(const FileModel& model) {
  std::vector<std::string> names;
  for (const MethodModel& method : model.services.at(0).methods) {
    names.push_back(absl::StrCat(method.name, " ", method.async_name, " ", method.coro_name, " ",
                                 method.constant));
  }
  return names;
}

// ---- What is in it

TEST(Model, NamesTheFileAndItsNamespace) {
  ProtoFiles files;
  const auto* file = files.Load("dir/x.proto", "syntax = 'proto3'; package demo.namespace.v1;");
  ASSERT_NE(file, nullptr);
  absl::StatusOr<FileModel> model = BuildModel(*file);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->path, "dir/x.proto");
  EXPECT_EQ(model->stem, "dir/x");
  EXPECT_EQ(model->cpp_namespace, "demo::namespace_::v1");
  EXPECT_THAT(model->services, IsEmpty());
}

TEST(Model, HoldsServicesAndMethods) {
  const FileModel model = ModelOfService("service S { rpc Run(Q.Part) returns (R); }");
  ASSERT_THAT(model.services, SizeIs(1));
  const ServiceModel& service = model.services[0];
  EXPECT_EQ(service.full_name, "demo.S");
  EXPECT_EQ(service.name, "S");
  EXPECT_EQ(service.mock_name, "MockSStub");
  ASSERT_THAT(service.methods, SizeIs(1));
  EXPECT_EQ(service.methods[0].wire_name, "Run");
  EXPECT_EQ(service.methods[0].request, "::demo::Q_Part");
  EXPECT_EQ(service.methods[0].reply, "::demo::R");
  EXPECT_EQ(service.methods[0].kind, MethodKind::kUnary);
  EXPECT_FALSE(service.deprecated);
  EXPECT_FALSE(model.uses_deprecated);
}

TEST(Model, WithoutPackageEverythingIsGlobal) {
  const FileModel model = ModelOf(
      absl::StrCat("syntax = 'proto2'; ", kMessages, "service S { rpc Run(Q) returns (R); }"));
  EXPECT_EQ(model.cpp_namespace, "");
  ASSERT_THAT(model.services, SizeIs(1));
  EXPECT_EQ(model.services[0].full_name, "S");
  EXPECT_EQ(model.services[0].methods.at(0).request, "::Q");
}

TEST(Model, CarriesCommentsButNotDetachedOnes) {
  const FileModel model = ModelOfService(
      "\n// Detached.\n\n// Of the service.\nservice S {\n"
      "\n  // Detached.\n\n"
      "  // Leading.\n  rpc Run(Q) returns (R);  // Trailing.\n}");
  EXPECT_EQ(model.services.at(0).comment, "// Of the service.");
  EXPECT_EQ(model.services.at(0).methods.at(0).comment, "// Leading.\n//\n// Trailing.");
}

TEST(Model, KnowsWhatIsDeprecated) {
  const FileModel model = ModelOfService(
      "service S { option deprecated = true; rpc Run(Q) returns (R); }"
      "service T { rpc Run(Q) returns (R) { option deprecated = true; } }");
  EXPECT_TRUE(model.services.at(0).deprecated);
  EXPECT_FALSE(model.services.at(0).methods.at(0).deprecated);
  EXPECT_FALSE(model.services.at(1).deprecated);
  EXPECT_TRUE(model.services.at(1).methods.at(0).deprecated);
  // The deprecated service alone counts: callers name a deprecated method, and generated code does
  // not.
  EXPECT_TRUE(model.uses_deprecated);
}

TEST(Model, DeprecatedMessagesCountAsUse) {
  const FileModel model = ModelOf(
      "syntax = 'proto3'; message Q { option deprecated = true; } "
      "service S { rpc Run(Q) returns (Q); }");
  EXPECT_TRUE(model.uses_deprecated);
}

// ---- Options

MethodOptions OptionsOf(const std::string& options) {
  const FileModel model =
      ModelOf(absl::StrCat("syntax = 'proto3'; import 'weft/rpc/options.proto'; ", kMessages,
                           "service S { rpc Run(Q) returns (R) {", options, "} }"));
  if (model.services.empty()) return {};
  return model.services[0].methods.at(0).options;
}

TEST(MethodOptions, SayNothingByDefault) {
  const MethodOptions options = OptionsOf("");
  EXPECT_FALSE(options.run_inline);
  EXPECT_FALSE(options.idempotent);
  EXPECT_EQ(options.timeout_ms, 0u);
  EXPECT_FALSE(options.ordered);
  EXPECT_EQ(options.pool, "");
}

TEST(MethodOptions, AreThoseOfOptionsProto) {
  const MethodOptions options = OptionsOf(
      "option (weft.inline) = true; option (weft.idempotent) = true; "
      "option (weft.timeout_ms) = 4294967295; option (weft.ordered) = true; "
      "option (weft.pool) = 'slow \"one\"';");
  EXPECT_TRUE(options.run_inline);
  EXPECT_TRUE(options.idempotent);
  EXPECT_EQ(options.timeout_ms, 4294967295u);
  EXPECT_TRUE(options.ordered);
  EXPECT_EQ(options.pool, "slow \"one\"");
}

TEST(MethodOptions, TheServicesPoolHoldsWhereAMethodNamesNone) {
  const FileModel model = ModelOf(
      absl::StrCat("syntax = 'proto3'; import 'weft/rpc/options.proto'; ", kMessages,
                   "service S { option (weft.service_pool) = 'all'; rpc Run(Q) returns (R); "
                   "rpc Go(Q) returns (R) { option (weft.pool) = 'own'; } } "
                   "service T { rpc Run(Q) returns (R); }"));
  EXPECT_EQ(model.services.at(0).methods.at(0).options.pool, "all");
  EXPECT_EQ(model.services.at(0).methods.at(1).options.pool, "own");
  EXPECT_EQ(model.services.at(1).methods.at(0).options.pool, "");
}

TEST(MethodOptions, ProtobufsOwnIdempotencyCounts) {
  EXPECT_TRUE(OptionsOf("option idempotency_level = IDEMPOTENT;").idempotent);
  EXPECT_TRUE(OptionsOf("option idempotency_level = NO_SIDE_EFFECTS;").idempotent);
  EXPECT_FALSE(OptionsOf("option idempotency_level = IDEMPOTENCY_UNKNOWN;").idempotent);
}

TEST(MethodOptions, ProtobufsOwnIdempotencyNeedsNoImport) {
  // Nothing imports descriptor.proto here, so the file's pool does not know the type of options.
  const FileModel model = ModelOfService(
      "service S { rpc Run(Q) returns (R) { option idempotency_level = IDEMPOTENT; } }");
  EXPECT_TRUE(model.services.at(0).methods.at(0).options.idempotent);
}

TEST(MethodOptions, StrangersWithOurNumbersAreNotOurs) {
  // Another package's extension has the number of weft.inline.
  const FileModel model = ModelOf(
      absl::StrCat("syntax = 'proto3'; package other; import 'google/protobuf/descriptor.proto'; ",
                   "extend google.protobuf.MethodOptions { bool inline = 59330; } ", kMessages,
                   "service S { rpc Run(Q) returns (R) { option (other.inline) = true; } }"));
  EXPECT_FALSE(model.services.at(0).methods.at(0).options.run_inline);
}

// The numbers can never change: a .proto may be compiled with them anywhere.
TEST(MethodOptions, NumbersStayAsPublished) {
  ProtoFiles files;
  ASSERT_NE(files.Load("weft/rpc/options.proto"), nullptr);
  const auto& pool = files.pool();
  EXPECT_EQ(pool.FindExtensionByName("weft.inline")->number(), 59330);
  EXPECT_EQ(pool.FindExtensionByName("weft.idempotent")->number(), 59331);
  EXPECT_EQ(pool.FindExtensionByName("weft.timeout_ms")->number(), 59332);
  EXPECT_EQ(pool.FindExtensionByName("weft.ordered")->number(), 59333);
  EXPECT_EQ(pool.FindExtensionByName("weft.pool")->number(), 59334);
  EXPECT_EQ(pool.FindExtensionByName("weft.service_pool")->number(), 59335);
}

// ---- Names

TEST(Model, ServiceMayBeNamedLikeAKeywordOrAGeneratedClass) {
  // A class inside a service's struct cannot have the struct's name.
  EXPECT_THAT(ServiceNames(ModelOfService("service class {} service Stub {} service Service {} "
                                          "service MixedService {} service Derived {}")),
              ElementsAre("class_", "Stub_", "Service_", "MixedService_", "Derived_"));
}

TEST(Model, ServiceGivesWayToMessagesOfItsPackage) {
  EXPECT_THAT(ServiceNames(ModelOfService("service Q_Part {} service P {}")),
              ElementsAre("Q_Part_", "P"));
}

TEST(Model, ServiceGivesWayToImportedMessagesOfItsPackageOnly) {
  ProtoFiles files;
  // protoc makes the classes Aa_B and Cc_D of the nested messages; only Aa_B is in this namespace.
  files.Add("same.proto", "syntax = 'proto3'; package demo; message Aa { message B {} }");
  files.Add("other.proto", "syntax = 'proto3'; package other; message Cc { message D {} }");
  const auto* file =
      files.Load("x.proto",
                 "syntax = 'proto3'; package demo; import 'same.proto'; import 'other.proto'; "
                 "message M { Aa a = 1; other.Cc c = 2; } service Aa_B {} service Cc_D {}");
  ASSERT_NE(file, nullptr);
  absl::StatusOr<FileModel> model = BuildModel(*file);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(ServiceNames(*model), ElementsAre("Aa_B_", "Cc_D"));
}

TEST(Model, MockGivesWayToAServiceOfItsName) {
  const FileModel model = ModelOfService("service S {} service MockSStub {}");
  EXPECT_THAT(ServiceNames(model), ElementsAre("S", "MockSStub"));
  EXPECT_EQ(model.services[0].mock_name, "MockSStub_");
}

TEST(Model, MethodHasThreeStylesAndAConstant) {
  EXPECT_THAT(MethodNames(ModelOfService("service S { rpc Say(Q) returns (R); }")),
              ElementsAre("Say SayAsync SayCoro kSay"));
}

TEST(Model, MethodsOwnNameGoesBeforeADerivedOne) {
  EXPECT_THAT(
      MethodNames(ModelOfService("service S { rpc Say(Q) returns (R); "
                                 "rpc SayAsync(Q) returns (R); "
                                 "rpc SayCoro(Q) returns (R); }")),
      ElementsAre("Say SayAsync_ SayCoro_ kSay", "SayAsync SayAsyncAsync SayAsyncCoro kSayAsync",
                  "SayCoro SayCoroAsync SayCoroCoro kSayCoro"));
}

TEST(Model, MethodMayBeNamedLikeAKeyword) {
  const FileModel model = ModelOfService("service S { rpc delete(Q) returns (R); }");
  EXPECT_THAT(MethodNames(model), ElementsAre("delete_ deleteAsync deleteCoro kDelete"));
  EXPECT_EQ(model.services[0].methods[0].wire_name, "delete");
}

TEST(Model, MethodMayBeNamedLikeAMember) {
  // The service has a constant kFullName, and its classes have methods() and full_name().
  EXPECT_THAT(MethodNames(ModelOfService("service S { rpc methods(Q) returns (R); "
                                         "rpc full_name(Q) returns (R); "
                                         "rpc FullName(Q) returns (R); "
                                         "rpc Stub(Q) returns (R); }")),
              ElementsAre("methods_ methodsAsync methodsCoro kMethods",
                          "full_name_ full_nameAsync full_nameCoro kFull_name",
                          "FullName FullNameAsync FullNameCoro kFullName_",
                          "Stub_ StubAsync StubCoro kStub"));
}

TEST(Model, MethodsThatDifferInCaseOnlyHaveTwoConstants) {
  EXPECT_THAT(
      MethodNames(ModelOfService("service S { rpc Say(Q) returns (R); rpc say(Q) returns (R); }")),
      ElementsAre("Say SayAsync SayCoro kSay", "say sayAsync sayCoro kSay_"));
}

// ---- What is refused

TEST(Model, RefusesProtobufsOwnServices) {
  const absl::Status status =
      RefusalOf("syntax = 'proto2'; option cc_generic_services = true; service S {}");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("option cc_generic_services"));
}

// protoc accepts such names in descriptors that other programs have made.
TEST(Model, RefusesAFileWhoseNameNoIncludeCanHold) {
  for (const char* name : {"a\nint x;.proto", "a\"b.proto", "a\\b.proto", "\x7F.proto"}) {
    google::protobuf::FileDescriptorProto file;
    file.set_name(name);
    google::protobuf::DescriptorPool pool;
    const google::protobuf::FileDescriptor* built = pool.BuildFile(file);
    ASSERT_NE(built, nullptr) << name;
    const absl::Status status = BuildModel(*built).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("no #include can name it"));
  }
}

}  // namespace
}  // namespace weft::codegen
