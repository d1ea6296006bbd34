// Tells a membership's listener of views and errors: one call at a time, in order, on the thread
// that brings the news or on a thread that is telling already.
//
// News that arrives while the listener runs waits. A new view replaces all waiting news; a new
// error replaces only a waiting error. Nothing is told twice: not a view equal to the last one,
// unless an error was told since; not an error equal to the last one, unless a view was.
//
// Threads  any; Start once
// Owns     the listener, until Stop
// Errors   what the listener throws is caught, counted and logged (core/guarded_call.h)
// Ends     when Stop has returned the listener does not run and is never called again. Inside the
//          listener Stop does not wait for its own call. The teller must outlive every call
#ifndef WEFT_RPC_MESH_VIEW_TELLER_H_
#define WEFT_RPC_MESH_VIEW_TELLER_H_

#include <memory>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/membership.h"
#include "weft/rpc/mesh/view.h"

namespace weft::internal {

class WEFT_ANY_THREAD ViewTeller {
 public:
  // Sets the listener and tells it the news that has come already.
  void Start(Membership::Changed changed) WEFT_EXCLUDES(mu_);
  // Brings news. Kept until Start if that has not been called.
  void Tell(absl::StatusOr<View> news) WEFT_EXCLUDES(mu_);
  void Stop() WEFT_EXCLUDES(mu_);

 private:
  void TellWaiting() WEFT_EXCLUDES(mu_);
  // Takes the next waiting news that the listener does not know; none: there is none.
  std::optional<absl::StatusOr<View>> TakeNews() WEFT_REQUIRES(mu_);

  Mutex mu_;
  CondVar told_;
  std::shared_ptr<const Membership::Changed> changed_ WEFT_GUARDED_BY(mu_);
  bool stopped_ WEFT_GUARDED_BY(mu_) = false;
  std::thread::id teller_ WEFT_GUARDED_BY(mu_) = {};  // the thread inside the listener
  std::optional<View> waiting_view_ WEFT_GUARDED_BY(mu_);
  absl::Status waiting_error_ WEFT_GUARDED_BY(mu_);  // OK: none; it came after waiting_view_
  std::optional<View> last_view_ WEFT_GUARDED_BY(mu_);
  absl::Status last_error_ WEFT_GUARDED_BY(mu_);  // OK: a view came after it
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_VIEW_TELLER_H_
