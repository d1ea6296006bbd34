// A node's view and its epoch, and the versions of the peers whose view differs.
//
//   Take ─► epoch 1, 2, 3 …          another version, or other members under the same one
//   Hear ─► equal ◄──► differs since then ──(it has lasted)──► Lasting names it, once
//
// Peers get a new view a little sooner or later, so a difference counts only after it has lasted.
// It ends when the two versions are equal, whichever changed. It goes on while both change and
// never meet.
//
// Threads  any
// Owns     the view, and a version for each peer heard and not forgotten
// Errors   none; Refuse counts the source's errors
#ifndef WEFT_RPC_MESH_VIEW_LOG_H_
#define WEFT_RPC_MESH_VIEW_LOG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/node_view.h"
#include "weft/rpc/mesh/view.h"

namespace weft::internal {

class WEFT_ANY_THREAD ViewLog {
 public:
  struct Difference {
    std::string peer;
    uint64_t version = 0;  // the peer's; 0: it has no view
    MonoTime since;
  };

  // False: the view is the current one, and the epoch stays.
  bool Take(View view, MonoTime now) WEFT_EXCLUDES(mu_);
  // Counts a failure of the source; the current view stays.
  void Refuse(absl::Status why) WEFT_EXCLUDES(mu_);
  NodeView current() const WEFT_EXCLUDES(mu_);
  // Number of refusals so far, and the reason of the last one, unless a view came after it.
  uint64_t refused(absl::Status* last) const WEFT_EXCLUDES(mu_);

  // `peer` says which version of the view it has.
  void Hear(std::string_view peer, uint64_t version, MonoTime now) WEFT_EXCLUDES(mu_);
  // Forgets a peer whose connection has ended or that has left.
  void Forget(std::string_view peer) WEFT_EXCLUDES(mu_);
  // Number of peers heard and not forgotten.
  size_t heard() const WEFT_EXCLUDES(mu_);
  // All differences, by name. None while this node has no view.
  std::vector<Difference> Differences() const WEFT_EXCLUDES(mu_);
  // Differences that are `lasted` old and were not given yet, by name.
  std::vector<Difference> Lasting(MonoTime now, Nanos lasted) WEFT_EXCLUDES(mu_);
  // The time when Lasting has its next one, as of now; kNever: none.
  MonoTime NextLasting(Nanos lasted) const WEFT_EXCLUDES(mu_);

 private:
  struct Heard {
    uint64_t version = 0;
    std::optional<MonoTime> differs_since = std::nullopt;
    bool given = false;  // by Lasting
  };
  void Compare(Heard* heard, MonoTime now) WEFT_REQUIRES(mu_);

  mutable Mutex mu_;
  NodeView current_ WEFT_GUARDED_BY(mu_);
  uint64_t refused_ WEFT_GUARDED_BY(mu_) = 0;
  absl::Status last_refusal_ WEFT_GUARDED_BY(mu_);
  std::map<std::string, Heard, std::less<>> heard_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_VIEW_LOG_H_
