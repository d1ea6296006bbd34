#include "weft/codegen/method_options.h"

#include <memory>

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>

namespace weft::codegen {
namespace {

namespace pb = ::google::protobuf;

// The extension of that name, if the file's imports declare it as an option of that type.
const pb::FieldDescriptor* FindOption(const pb::DescriptorPool& pool, const char* name,
                                      pb::FieldDescriptor::CppType type) {
  const pb::FieldDescriptor* field = pool.FindExtensionByName(name);
  return field != nullptr && field->cpp_type() == type && !field->is_repeated() ? field : nullptr;
}

}  // namespace

MethodOptions ReadMethodOptions(const pb::MethodDescriptor& method) {
  MethodOptions options;
  const auto level = method.options().idempotency_level();
  options.idempotent =
      level == pb::MethodOptions::IDEMPOTENT || level == pb::MethodOptions::NO_SIDE_EFFECTS;

  const pb::DescriptorPool& pool = *method.file()->pool();
  const pb::Descriptor* type = pool.FindMessageTypeByName("google.protobuf.MethodOptions");
  if (type == nullptr) return options;  // nothing imports descriptor.proto, so there are no options

  // The same bytes again, as the type that the pool knows: there the extensions are fields.
  pb::DynamicMessageFactory factory;
  const std::unique_ptr<pb::Message> message(factory.GetPrototype(type)->New());
  if (!message->ParseFromString(method.options().SerializeAsString())) return options;
  const pb::Reflection& reflection = *message->GetReflection();

  if (const auto* field = FindOption(pool, "weft.inline", pb::FieldDescriptor::CPPTYPE_BOOL)) {
    options.run_inline = reflection.GetBool(*message, field);
  }
  if (const auto* field = FindOption(pool, "weft.idempotent", pb::FieldDescriptor::CPPTYPE_BOOL)) {
    options.idempotent |= reflection.GetBool(*message, field);
  }
  if (const auto* field =
          FindOption(pool, "weft.timeout_ms", pb::FieldDescriptor::CPPTYPE_UINT32)) {
    options.timeout_ms = reflection.GetUInt32(*message, field);
  }
  return options;
}

}  // namespace weft::codegen
