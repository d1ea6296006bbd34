#include "weft/codegen/generator.h"

#include <memory>
#include <utility>
#include <vector>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "weft/codegen/file_template.h"
#include "weft/codegen/mock_template.h"
#include "weft/codegen/model.h"
#include "weft/codegen/service_template.h"
#include "weft/codegen/stub_template.h"
#include "weft/codegen/template.h"

namespace weft::codegen {
namespace {

// The defaults fit a build by hand. `empty` is for CMake, which has to know the files' names before
// the .proto is read.
struct Parameters {
  bool mock = true;
  bool empty = false;
  std::string services_namespace;
};

// The flag of that name; null where there is none.
bool* FlagOf(Parameters& parameters, const std::string& name) {
  if (name == "mock") return &parameters.mock;
  if (name == "empty") return &parameters.empty;
  return nullptr;
}

absl::StatusOr<Parameters> ParseParameters(const std::string& text) {
  Parameters parameters;
  std::vector<std::pair<std::string, std::string>> pairs;
  google::protobuf::compiler::ParseGeneratorParameter(text, &pairs);
  for (const auto& [name, value] : pairs) {
    if (name == "services_namespace") {
      parameters.services_namespace = value;
      continue;
    }
    bool* flag = FlagOf(parameters, name);
    if (flag == nullptr || (value != "true" && value != "false")) {
      // An unknown parameter is an error: a misspelt one would be obeyed by nobody, and missed by
      // nobody.
      return absl::InvalidArgumentError(
          absl::StrCat("unknown parameter '", name, "=", value, "'; there are: mock=true|false, ",
                       "empty=true|false, services_namespace=<name>"));
    }
    *flag = value == "true";
  }
  return parameters;
}

// ---- The model as values for the templates' holes; "" is false to them.

std::string Flag(bool value) { return value ? "true" : ""; }

std::string Literal(bool value) { return value ? "true" : "false"; }

std::string Literal(MethodKind kind) {
  switch (kind) {
    case MethodKind::kUnary:
      return "kUnary";
    case MethodKind::kClientStreaming:
      return "kClientStreaming";
    case MethodKind::kServerStreaming:
      return "kServerStreaming";
    case MethodKind::kBidirectional:
      return "kBidirectional";
  }
  return "";
}

// The type of a method's constant.
std::string TypeOf(MethodKind kind) {
  switch (kind) {
    case MethodKind::kUnary:
      return "UnaryMethod";
    case MethodKind::kClientStreaming:
      return "ClientStreamingMethod";
    case MethodKind::kServerStreaming:
      return "ServerStreamingMethod";
    case MethodKind::kBidirectional:
      return "BidirectionalMethod";
  }
  return "";
}

TemplateValues ValuesOf(const MethodModel& method) {
  return {.values = {{"wire_name", method.wire_name},
                     {"name", method.name},
                     {"async_name", method.async_name},
                     {"coro_name", method.coro_name},
                     {"constant", method.constant},
                     {"request", method.request},
                     {"reply", method.reply},
                     {"comment", method.comment},
                     {"kind", Literal(method.kind)},
                     {"method_type", TypeOf(method.kind)},
                     {"unary", Flag(method.kind == MethodKind::kUnary)},
                     {"client_streams", Flag(method.kind == MethodKind::kClientStreaming)},
                     {"server_streams", Flag(method.kind == MethodKind::kServerStreaming)},
                     {"both_stream", Flag(method.kind == MethodKind::kBidirectional)},
                     {"run_inline", Literal(method.options.run_inline)},
                     {"idempotent", Literal(method.options.idempotent)},
                     {"timeout_ms", absl::StrCat(method.options.timeout_ms)},
                     {"ordered", Literal(method.options.ordered)},
                     // The name is any text of the user's, and stands inside quotes in the
                     // generated file.
                     {"pool", absl::StrCat("\"", absl::CEscape(method.options.pool), "\"")},
                     {"deprecated", Flag(method.deprecated)}},
          .lists = {}};
}

TemplateValues ValuesOf(const ServiceModel& service) {
  TemplateValues values = {.values = {{"service", service.name},
                                      {"mock", service.mock_name},
                                      {"full_name", service.full_name},
                                      {"service_comment", service.comment},
                                      {"service_deprecated", Flag(service.deprecated)}},
                           .lists = {}};
  std::vector<TemplateValues>& methods = values.lists["methods"];
  for (const MethodModel& method : service.methods) methods.push_back(ValuesOf(method));
  return values;
}

absl::StatusOr<TemplateValues> ValuesOf(const FileModel& file) {
  TemplateValues values = {.values = {{"path", file.path},
                                      {"stem", file.stem},
                                      {"namespace", file.cpp_namespace},
                                      {"uses_deprecated", Flag(file.uses_deprecated)},
                                      {"streams", Flag(file.streams)}},
                           .lists = {}};
  std::vector<TemplateValues>& services = values.lists["services"];
  for (const ServiceModel& model : file.services) {
    TemplateValues service = ValuesOf(model);
    // A service's parts stand in several places of the files, so each is expanded with its
    // service's values first, and is a value of the file's then.
    const std::pair<const char*, absl::string_view> parts[] = {
        {"service_declarations", kServiceDeclarations},
        {"stub_declarations", kStubDeclarations},
        {"service_definitions", kServiceDefinitions},
        {"stub_definitions", kStubDefinitions},
    };
    for (const auto& [name, text] : parts) {
      absl::StatusOr<std::string> part = Expand(text, service);
      if (!part.ok()) return part.status();
      service.values[name] = *std::move(part);
    }
    services.push_back(std::move(service));
  }
  // A file without services only includes x.pb.h: there is nothing to open a namespace for.
  values.values["in_namespace"] = Flag(!file.cpp_namespace.empty() && !services.empty());
  return values;
}

// ---- Files

absl::Status Write(google::protobuf::compiler::GeneratorContext& context, const std::string& name,
                   absl::string_view text, const TemplateValues& values) {
  absl::StatusOr<std::string> expanded = Expand(text, values);
  if (!expanded.ok()) return expanded.status();
  const std::unique_ptr<google::protobuf::io::ZeroCopyOutputStream> stream(context.Open(name));
  // The temporary passes on its buffer in its destructor, so it must end before the stream.
  google::protobuf::io::CodedOutputStream(stream.get()).WriteString(*expanded);
  return absl::OkStatus();
}

absl::Status GenerateFiles(const google::protobuf::FileDescriptor& file,
                           const std::string& parameter,
                           google::protobuf::compiler::GeneratorContext& context) {
  absl::StatusOr<Parameters> parameters = ParseParameters(parameter);
  if (!parameters.ok()) return parameters.status();
  absl::StatusOr<FileModel> model = BuildModel(file, parameters->services_namespace);
  if (!model.ok()) return model.status();
  // Nothing is no error: protoc is called with all files of a project.
  if (model->services.empty() && !parameters->empty) return absl::OkStatus();
  absl::StatusOr<TemplateValues> values = ValuesOf(*model);
  if (!values.ok()) return values.status();

  absl::Status status = Write(context, model->stem + ".weft.h", kHeaderFile, *values);
  if (status.ok()) status = Write(context, model->stem + ".weft.cc", kSourceFile, *values);
  if (status.ok() && parameters->mock) {
    status = Write(context, model->stem + ".weft_mock.h", kMockFile, *values);
  }
  return status;
}

}  // namespace

bool Generator::Generate(const google::protobuf::FileDescriptor* file, const std::string& parameter,
                         google::protobuf::compiler::GeneratorContext* context,
                         std::string* error) const {
  const absl::Status status = GenerateFiles(*file, parameter, *context);
  if (!status.ok()) *error = std::string(status.message());
  return status.ok();
}

}  // namespace weft::codegen
