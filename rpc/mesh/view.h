// The members of a cluster as one source names them: a view is whole or there is none.
//
// A view has at least one member, and each name and address once, ordered by name. The version says
// which view it is: the source's number, or a hash of the members that is the same in every process
// (docs/decisions/0032-views-are-whole.md).
//
// Threads  value; copies share the members, which never change
// Errors   Create: INVALID_ARGUMENT that names the member at fault
#ifndef WEFT_RPC_MESH_VIEW_H_
#define WEFT_RPC_MESH_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "weft/rpc/mesh/member.h"

namespace weft {

class View {
 public:
  static constexpr size_t kMaxMembers = 10'000;

  // No members and version 0: before the first view.
  View() = default;
  // `members` in any order. `version` 0: use the hash of the members.
  static absl::StatusOr<View> Create(std::vector<Member> members, uint64_t version = 0);

  uint64_t version() const { return version_; }
  // Ordered by name. Valid while any copy of the view exists.
  absl::Span<const Member> members() const {
    return members_ != nullptr ? absl::MakeConstSpan(*members_) : absl::Span<const Member>();
  }
  size_t size() const { return members().size(); }
  bool empty() const { return members().empty(); }
  // Null: no member has that name.
  const Member* Find(std::string_view name) const;
  bool Has(std::string_view name) const { return Find(name) != nullptr; }

  // True for the same version, names and addresses; addresses are compared as written.
  bool operator==(const View& o) const {
    return version_ == o.version_ && (members_ == o.members_ || members() == o.members());
  }

 private:
  View(uint64_t version, std::vector<Member> members);

  uint64_t version_ = 0;
  std::shared_ptr<const std::vector<Member>> members_;  // null: none
};

namespace internal {

// The difference between two views, each list by name.
struct ViewDifference {
  struct Move {
    Member from, to;
    bool operator==(const Move& o) const { return from == o.from && to == o.to; }
  };

  std::vector<Member> joined, left;
  // Members with a new address. Two texts of the same address are no move.
  std::vector<Move> moved;

  static ViewDifference Between(const View& from, const View& to);
  bool empty() const { return joined.empty() && left.empty() && moved.empty(); }
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_RPC_MESH_VIEW_H_
