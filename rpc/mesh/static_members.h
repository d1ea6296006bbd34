// A membership held by the program: a fixed list, or one that the program itself replaces.
//
//   auto members = weft::StaticMembers::Create({{"a", "10.0.0.1:7000"}, {"b", "10.0.0.2:7000"}});
//   absl::Status status = (*members)->Set({{"a", "10.0.0.1:7000"}, {"c", "10.0.0.3:7000"}});
//
// Threads  any
// Owns     the last view
// Errors   Create and Set: INVALID_ARGUMENT as from View::Create. The listener is told of an error
//          of Set, too; the last view stays
// Ends     as Membership
#ifndef WEFT_RPC_MESH_STATIC_MEMBERS_H_
#define WEFT_RPC_MESH_STATIC_MEMBERS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/member.h"
#include "weft/rpc/mesh/membership.h"
#include "weft/rpc/mesh/view_teller.h"

namespace weft {

class WEFT_ANY_THREAD StaticMembers final : public Membership {
 public:
  // `version` 0: use the hash of the members.
  static absl::StatusOr<std::shared_ptr<StaticMembers>> Create(std::vector<Member> members,
                                                               uint64_t version = 0);

  // Replaces all members. Tells the listener on this thread, unless another thread is telling it.
  absl::Status Set(std::vector<Member> members, uint64_t version = 0);

  void Start(Changed changed) override;
  void Stop() override;

 private:
  StaticMembers() = default;

  internal::ViewTeller teller_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_STATIC_MEMBERS_H_
