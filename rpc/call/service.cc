#include "weft/rpc/call/service.h"

#include <exception>

#include "absl/strings/str_cat.h"

namespace weft {

absl::Status UnimplementedMethod(const MethodInfo& method) {
  return absl::UnimplementedError(
      absl::StrCat(std::string(method.full_name), ": the server has not implemented it"));
}

absl::Status HandlerThrew(const MethodInfo& method, std::exception_ptr error) {
  const std::string name(method.full_name);
  try {
    std::rethrow_exception(std::move(error));
  } catch (const std::exception& e) {
    return absl::UnknownError(absl::StrCat(name, ": the handler threw: ", e.what()));
  } catch (...) {
    return absl::UnknownError(
        absl::StrCat(name, ": the handler threw something that is no std::exception"));
  }
}

}  // namespace weft
