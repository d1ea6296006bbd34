#include "weft/rpc/mesh/static_members.h"

#include <utility>

namespace weft {

absl::StatusOr<std::shared_ptr<StaticMembers>> StaticMembers::Create(std::vector<Member> members,
                                                                     uint64_t version) {
  std::shared_ptr<StaticMembers> made(new StaticMembers);
  const absl::Status status = made->Set(std::move(members), version);
  if (!status.ok()) return status;
  return made;
}

absl::Status StaticMembers::Set(std::vector<Member> members, uint64_t version) {
  absl::StatusOr<View> view = View::Create(std::move(members), version);
  // Copied before Tell takes the view: the listener hears of an error, too, and so does the caller.
  absl::Status status = view.status();
  teller_.Tell(std::move(view));
  return status;
}

void StaticMembers::Start(Changed changed) { teller_.Start(std::move(changed)); }

void StaticMembers::Stop() { teller_.Stop(); }

}  // namespace weft
