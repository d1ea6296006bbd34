// The source of a node's views: who is in the cluster, now and after each change. An application
// makes one for each node and gives it to NodeOptions.
//
//   Start ──► changed(view or error) ──► … ──► Stop
//
// Each view is whole and replaces the one before. An error says why the source has no newer view;
// the last one stays. The first view or error may come inside Start.
//
// Threads  any: AskAgain, Announce, Stop. Start: its owner, once. `changed` runs on any thread, one
//          call at a time, in the order of the views; inside it all but Start may be called
// Owns     `changed`, until Stop
// Errors   a view that cannot be had goes to `changed`, each reason once until a view has come; a
//          second Start, for another node, gets FAILED_PRECONDITION there
// Ends     when Stop has returned `changed` does not run, and is never called again. Stop inside
//          `changed` does not wait for the call that it is in; no other follows. Idempotent
#ifndef WEFT_RPC_MESH_MEMBERSHIP_H_
#define WEFT_RPC_MESH_MEMBERSHIP_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/member.h"
#include "weft/rpc/mesh/view.h"

namespace weft {

class WEFT_ANY_THREAD Membership {
 public:
  using Changed = std::function<void(absl::StatusOr<View>)>;

  virtual ~Membership() = default;

  virtual void Start(Changed changed) = 0;
  // Looks for a newer view at once: the last one was found to be wrong.
  virtual void AskAgain() {}
  // Tells the source where `self` takes connections. A source written by others, such as a file,
  // ignores it.
  virtual absl::Status Announce(const Member& self) {
    (void)self;
    return absl::OkStatus();
  }
  virtual void Stop() = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_MEMBERSHIP_H_
