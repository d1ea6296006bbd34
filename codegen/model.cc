#include "weft/codegen/model.h"

#include <cstddef>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "weft/codegen/comment.h"
#include "weft/codegen/cpp_names.h"
#include "weft/codegen/descriptor_compat.h"

namespace weft::codegen {
namespace {

namespace pb = ::google::protobuf;

MethodKind KindOf(const pb::MethodDescriptor& method) {
  if (method.client_streaming()) {
    return method.server_streaming() ? MethodKind::kBidirectional : MethodKind::kClientStreaming;
  }
  return method.server_streaming() ? MethodKind::kServerStreaming : MethodKind::kUnary;
}

template <typename Descriptor>
std::string CommentOf(const Descriptor& descriptor) {
  pb::SourceLocation location;
  // There is none where protoc was given descriptors without source.
  if (!descriptor.GetSourceLocation(&location)) return "";
  return CommentLines(location.leading_comments, location.trailing_comments);
}

// ---- What is refused

// True if `path` can stand between the quotes of an #include, and in a comment's line.
bool IsIncludable(const std::string& path) {
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '"' || c == '\\') return false;
  }
  return true;
}

absl::Status CheckSupported(const pb::FileDescriptor& file) {
  if (!IsIncludable(PathOf(file))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the file's name, \"", absl::CEscape(PathOf(file)),
        "\", has a quote, a backslash or a control character: no #include can name it"));
  }
  if (file.service_count() > 0 && file.options().cc_generic_services()) {
    return absl::InvalidArgumentError(
        "option cc_generic_services = true makes protoc write classes of its own with the names of "
        "the services; remove it to generate them with weft");
  }
  return absl::OkStatus();
}

// ---- Names already taken

// The classes that protoc writes for a message, an enum and what is nested in them.
void AddClasses(const pb::Descriptor& message, std::set<std::string>* names) {
  names->insert(CppClassOf(message));
  for (int i = 0; i < message.nested_type_count(); ++i) AddClasses(*message.nested_type(i), names);
  for (int i = 0; i < message.enum_type_count(); ++i) {
    names->insert(CppClassOf(*message.enum_type(i)));
  }
}

// The same for everything that this file sees of its own package.
void AddClassesOfPackage(const pb::FileDescriptor& file, const std::string& package,
                         std::set<const pb::FileDescriptor*>* seen, std::set<std::string>* names) {
  // Imports form a graph with many ways to a file, so each is looked at once.
  if (!seen->insert(&file).second) return;
  if (PackageOf(file) == package) {
    for (int i = 0; i < file.message_type_count(); ++i) AddClasses(*file.message_type(i), names);
    for (int i = 0; i < file.enum_type_count(); ++i) {
      names->insert(CppClassOf(*file.enum_type(i)));
    }
  }
  // The imports' imports, too: all of them are included in the end, and a package may be spread
  // over any files.
  for (int i = 0; i < file.dependency_count(); ++i) {
    AddClassesOfPackage(*file.dependency(i), package, seen, names);
  }
}

// The classes inside of each service's struct; none of them may also be the struct's name.
const std::set<std::string>& NestedClasses() {
  static const auto& names = *new std::set<std::string>{
      "Service", "AsyncService", "CoroService", "MixedService", "StubInterface", "Stub"};
  return names;
}

// A part of the package's full name: "demo" and "Say" -> "demo.Say".
std::string InPackage(const std::string& package, const std::string& name) {
  return package.empty() ? name : absl::StrCat(package, ".", name);
}

// The namespace `path` is opened in `package` by generated code, so nothing else there may have its
// name.
absl::Status CheckServicesNamespace(const pb::FileDescriptor& file, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  absl::Status status = CheckNestedNamespace(path);
  std::string package = PackageOf(file);
  const pb::DescriptorPool& pool = *file.pool();
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(path, "::"))) {
    if (!status.ok()) break;
    // Each part is opened inside those before it, so names are looked up in the package as grown so
    // far.
    std::set<std::string> classes;
    std::set<const pb::FileDescriptor*> seen;
    AddClassesOfPackage(file, package, &seen, &classes);
    const std::string name = InPackage(package, part);
    if (classes.count(part) != 0 || pool.FindServiceByName(name) != nullptr ||
        pool.FindEnumValueByName(name) != nullptr || pool.FindExtensionByName(name) != nullptr) {
      status = absl::InvalidArgumentError(absl::StrCat("the .proto has a ", name, " already"));
    }
    package = name;
  }
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("services_namespace=", path, ": ", status.message()));
}

void NameServices(const pb::FileDescriptor& file, const std::string& services_namespace,
                  FileModel* model) {
  std::set<std::string> taken = NestedClasses();
  taken.insert("Derived");  // MixedService's parameter
  std::set<const pb::FileDescriptor*> seen;
  AddClassesOfPackage(file, PackageOf(file), &seen, &taken);
  if (!services_namespace.empty()) {
    // Another package's namespace may be the services'.
    seen.clear();
    AddClassesOfPackage(
        file, InPackage(PackageOf(file), absl::StrReplaceAll(services_namespace, {{"::", "."}})),
        &seen, &taken);
  }

  std::vector<std::string> wanted;
  for (int i = 0; i < file.service_count(); ++i) wanted.push_back(NameOf(*file.service(i)));
  for (int i = 0; i < file.service_count(); ++i) {
    // All services first, then all mocks: a service keeps its name before a mock of another one
    // takes it.
    wanted.push_back(absl::StrCat("Mock", NameOf(*file.service(i)), "Stub"));
  }
  const std::vector<std::string> names = AssignNames(wanted, std::move(taken));
  for (size_t i = 0; i < model->services.size(); ++i) {
    model->services[i].name = names[i];
    // `wanted` had all services, then all mocks.
    model->services[i].mock_name = names[model->services.size() + i];
  }
}

void NameMethods(ServiceModel* service) {
  std::vector<std::string> constants;
  std::vector<std::string> functions;
  // Suffix by suffix, so that a method named SayAsync keeps its name and the async function of Say
  // gives way.
  for (const char* suffix : {"", "Async", "Coro"}) {
    for (const MethodModel& method : service->methods) {
      functions.push_back(absl::StrCat(method.wire_name, suffix));
    }
  }
  for (const MethodModel& method : service->methods) {
    constants.push_back(ConstantName(method.wire_name));
  }

  std::set<std::string> taken = NestedClasses();
  // A member with the name of its struct would be read as a constructor.
  taken.insert({service->name, "kFullName"});
  constants = AssignNames(constants, std::move(taken));

  // Members of weft::Service, of the generated classes, and their constructors.
  taken = NestedClasses();
  taken.insert({service->mock_name, "full_name", "methods", "target_"});
  functions = AssignNames(functions, std::move(taken));

  const size_t count = service->methods.size();
  for (size_t i = 0; i < count; ++i) {
    MethodModel& method = service->methods[i];
    method.constant = constants[i];
    method.name = functions[i];
    method.async_name = functions[count + i];
    method.coro_name = functions[2 * count + i];
  }
}

// ---- The model

MethodModel BuildMethod(const pb::MethodDescriptor& method) {
  MethodModel model;
  model.wire_name = NameOf(method);
  model.request = CppTypeOf(*method.input_type());
  model.reply = CppTypeOf(*method.output_type());
  model.comment = CommentOf(method);
  model.kind = KindOf(method);
  model.options = ReadMethodOptions(method);
  model.deprecated = method.options().deprecated();
  return model;
}

bool UsesDeprecated(const pb::ServiceDescriptor& service) {
  if (service.options().deprecated()) return true;
  for (int i = 0; i < service.method_count(); ++i) {
    const pb::MethodDescriptor& method = *service.method(i);
    // Generated code that names a deprecated type would warn in the user's build.
    if (method.input_type()->options().deprecated()) return true;
    if (method.output_type()->options().deprecated()) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<FileModel> BuildModel(const pb::FileDescriptor& file,
                                     const std::string& services_namespace) {
  absl::Status status = CheckSupported(file);
  if (status.ok()) status = CheckServicesNamespace(file, services_namespace);
  if (!status.ok()) return status;

  FileModel model;
  model.path = PathOf(file);
  model.stem = StemOf(file);
  model.cpp_namespace = CppNamespace(PackageOf(file));
  if (!services_namespace.empty()) {
    if (!model.cpp_namespace.empty()) model.cpp_namespace += "::";
    model.cpp_namespace += services_namespace;
  }
  for (int s = 0; s < file.service_count(); ++s) {
    const pb::ServiceDescriptor& service = *file.service(s);
    ServiceModel& out = model.services.emplace_back();
    out.full_name = FullNameOf(service);
    out.comment = CommentOf(service);
    out.deprecated = service.options().deprecated();
    for (int m = 0; m < service.method_count(); ++m) {
      out.methods.push_back(BuildMethod(*service.method(m)));
    }
    for (const MethodModel& method : out.methods) {
      model.streams |= method.kind != MethodKind::kUnary;
    }
    model.uses_deprecated |= UsesDeprecated(service);
  }
  // Services first: the names of methods depend on those of their service.
  NameServices(file, services_namespace, &model);
  for (ServiceModel& service : model.services) NameMethods(&service);
  return model;
}

}  // namespace weft::codegen
