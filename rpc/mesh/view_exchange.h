// Lets nodes compare their views: each node learns its peers' versions, and reports a difference
// that lasts. NodeCore makes one; it lives until the server is gone.
//
//   a peer comes up, whose name is the larger one ─► Compare(17) ──► it answers 16
//   this node takes a view ─► Compare with every peer that is up
//   a difference is kLasting old ─► told, once, while the peer is up
//
// Compare is a method that every node serves beside its own, on the I/O thread. Only members may
// call it. A peer that does not answer is asked again after kAgain, while it is up. A peer that
// does not know the method is not asked again.
//
// Threads  any: the log, OnPeer, OnView, Compare; they continue on the loop. Stop: the loop
// Owns     the node's ViewLog, and timers while a difference or a missing answer exists
// Ends     Stop: nobody is asked or told after it. Must outlive the server that serves it
#ifndef WEFT_RPC_MESH_VIEW_EXCHANGE_H_
#define WEFT_RPC_MESH_VIEW_EXCHANGE_H_

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include <google/protobuf/wrappers.pb.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/server_context.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/mesh/peer_state.h"
#include "weft/rpc/mesh/view_log.h"

namespace weft::internal {

class ViewExchange final : public Service, public std::enable_shared_from_this<ViewExchange> {
 public:
  using Version = google::protobuf::UInt64Value;
  static constexpr Nanos kLasting = std::chrono::seconds(30);
  static constexpr Nanos kAgain = std::chrono::seconds(5);
  static constexpr UnaryMethod<Version, Version> kCompare{{.service = "weft.mesh.Views",
                                                           .name = "Compare",
                                                           .full_name = "weft.mesh.Views/Compare",
                                                           .kind = MethodKind::kUnary,
                                                           .run_inline = true,
                                                           .idempotent = true}};
  struct Around {
    std::string node;
    std::shared_ptr<EventLoop> loop;
    // Finds a member other than this node; null: no member has that name.
    std::function<std::shared_ptr<CallTarget>(std::string_view)> find;
    std::function<void(const ViewLog::Difference&)> tell;
  };

  explicit ViewExchange(Around around) : around_(std::move(around)) {}

  WEFT_ANY_THREAD ViewLog& log() { return log_; }
  // A peer's state has changed.
  WEFT_ANY_THREAD void OnPeer(const std::string& name, PeerState state);
  // The log has taken a new view.
  WEFT_ANY_THREAD void OnView();
  // `peer` says which version it has.
  WEFT_ANY_THREAD void Hear(const std::string& peer, uint64_t version);
  void Stop() WEFT_LOOP_ONLY;

  // Service
  std::string_view full_name() const override { return kCompare.service; }
  std::span<const ServiceMethod> methods() const override;
  WEFT_ANY_THREAD absl::Status Compare(ServerContext& call, Version& theirs, Version& ours);

 private:
  template <typename Act>
  WEFT_ANY_THREAD void OnLoop(Act act);
  WEFT_ANY_THREAD void OnAnswer(const std::string& peer, const absl::StatusOr<Version>& theirs);
  void Ask(const std::string& peer) WEFT_LOOP_ONLY;
  void AskAgain() WEFT_LOOP_ONLY;
  void Arm() WEFT_LOOP_ONLY;
  void OnLasting() WEFT_LOOP_ONLY;

  const Around around_;
  ViewLog log_;
  // The loop's own.
  // Peers that are up; a suspect one stays.
  std::set<std::string, std::less<>> up_ WEFT_LOOP_OWNED;
  // Armed for the next difference that will have lasted.
  std::unique_ptr<Timer> lasting_ WEFT_LOOP_OWNED;
  // Peers that `again_` asks once more.
  std::set<std::string> unanswered_ WEFT_LOOP_OWNED;
  std::unique_ptr<Timer> again_ WEFT_LOOP_OWNED;
  bool stopped_ WEFT_LOOP_OWNED = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_VIEW_EXCHANGE_H_
