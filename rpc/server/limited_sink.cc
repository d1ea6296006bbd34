#include "weft/rpc/server/limited_sink.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/absl_view.h"
#include "weft/core/printable.h"

namespace weft::internal {
namespace {

// So many characters are printed of a name that the peer chose.
constexpr size_t kMaxShownName = 200;

}  // namespace

bool LimitedSink::Offers(std::string_view full_name) const {
  const size_t slash = full_name.rfind('/');
  const std::string_view service =
      full_name.substr(0, slash == std::string_view::npos ? full_name.size() : slash);
  return services_.contains(AbslView(service));
}

const BoundMethod* LimitedSink::Find(std::string_view full_name) {
  return Offers(full_name) ? all_.Find(full_name) : nullptr;
}

absl::Status LimitedSink::Unknown(std::string_view full_name) {
  if (Offers(full_name)) return all_.Unknown(full_name);
  std::vector<std::string> names(services_.begin(), services_.end());
  std::sort(names.begin(), names.end());
  return absl::UnimplementedError(absl::StrCat("no ", Printable::Text(full_name, kMaxShownName),
                                               " on this listener; it offers ",
                                               absl::StrJoin(names, ", ")));
}

}  // namespace weft::internal
