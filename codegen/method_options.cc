#include "weft/codegen/method_options.h"

#include <memory>
#include <string>

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>

namespace weft::codegen {
namespace {

namespace pb = ::google::protobuf;
using Field = pb::FieldDescriptor;

// Reads the weft.* extensions of one options message. It parses the message's bytes again, as the
// type that the file's pool knows: there the extensions are fields.
class Extensions {
 public:
  Extensions(const pb::DescriptorPool& pool, const char* type, const pb::Message& options)
      : pool_(pool) {
    const pb::Descriptor* known = pool.FindMessageTypeByName(type);
    if (known == nullptr) return;  // nothing imports descriptor.proto, so there are no options
    message_.reset(factory_.GetPrototype(known)->New());
    // Serialized and parsed as the pool's type: only there do the extensions have names.
    if (!message_->ParseFromString(options.SerializeAsString())) message_.reset();
  }

  bool Bool(const char* name) const {
    const Field* field = Find(name, Field::CPPTYPE_BOOL);
    return field != nullptr && message_->GetReflection()->GetBool(*message_, field);
  }
  uint32_t UInt32(const char* name) const {
    const Field* field = Find(name, Field::CPPTYPE_UINT32);
    return field != nullptr ? message_->GetReflection()->GetUInt32(*message_, field) : 0;
  }
  std::string String(const char* name) const {
    const Field* field = Find(name, Field::CPPTYPE_STRING);
    return field != nullptr ? message_->GetReflection()->GetString(*message_, field)
                            : std::string();
  }

 private:
  // The extension of that name, if the file's imports declare it as an option of that type.
  const Field* Find(const char* name, Field::CppType type) const {
    if (message_ == nullptr) return nullptr;
    const Field* field = pool_.FindExtensionByName(name);
    // The type is compared because the file's own options.proto decides, and it may be another
    // version.
    return field != nullptr && field->cpp_type() == type && !field->is_repeated() &&
                   field->containing_type() == message_->GetDescriptor()
               ? field
               : nullptr;
  }

  const pb::DescriptorPool& pool_;
  pb::DynamicMessageFactory factory_;
  std::unique_ptr<pb::Message> message_;
};

}  // namespace

MethodOptions ReadMethodOptions(const pb::MethodDescriptor& method) {
  MethodOptions options;
  const auto level = method.options().idempotency_level();
  options.idempotent =
      level == pb::MethodOptions::IDEMPOTENT || level == pb::MethodOptions::NO_SIDE_EFFECTS;

  const pb::DescriptorPool& pool = *method.file()->pool();
  const Extensions own(pool, "google.protobuf.MethodOptions", method.options());
  options.run_inline = own.Bool("weft.inline");
  // Either is enough: protobuf's own level, or weft's option.
  options.idempotent |= own.Bool("weft.idempotent");
  options.timeout_ms = own.UInt32("weft.timeout_ms");
  options.ordered = own.Bool("weft.ordered");
  options.pool = own.String("weft.pool");
  // A method's own pool goes before its service's.
  if (options.pool.empty()) {
    options.pool = Extensions(pool, "google.protobuf.ServiceOptions", method.service()->options())
                       .String("weft.service_pool");
  }
  return options;
}

}  // namespace weft::codegen
