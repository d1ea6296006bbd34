// Judges the sessions of a node's server and hands peers' sessions to their pairs. NodeCore makes
// one; it lives as long as the server.
//
//   Hello ──► check its facts: the cluster, the wanted node, the name
//   verdict ──► check the identity, and for a living process of the same name ──► Pair::Accept
//
// A stranger changes nothing and learns only that it was refused: a fault in a Hello is told after
// the authenticator has let its sender in. A client without a node name is served as on any server.
//
// Threads  as SessionHooks
// Owns     its knowledge of sessions, from their Hello or dial to their end
// Errors   reasons for refusing a peer: FAILED_PRECONDITION, another cluster; NOT_FOUND, it wants
//          another node; PERMISSION_DENIED, its identity does not match its name; ALREADY_EXISTS,
//          another living process has the name; UNAVAILABLE, not a member as far as this node
//          knows; INVALID_ARGUMENT, an impossible slot or number
#ifndef WEFT_RPC_MESH_SESSION_DESK_H_
#define WEFT_RPC_MESH_SESSION_DESK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/hello_places.h"
#include "weft/rpc/mesh/mesh_loops.h"
#include "weft/rpc/mesh/node_identity.h"
#include "weft/rpc/mesh/pair.h"
#include "weft/rpc/mesh/pair_settings.h"
#include "weft/rpc/mesh/peer_directory.h"
#include "weft/rpc/mesh/rival_probes.h"
#include "weft/rpc/server/session_hooks.h"

namespace weft::internal {

class SessionDesk final : public SessionHooks, public std::enable_shared_from_this<SessionDesk> {
 public:
  // Time for a living process to answer a probe when another process comes with its name.
  static constexpr Nanos kRivalAnswers = std::chrono::seconds(1);

  // `identity` null: the verdict must be empty or equal the name. `directory` outlives the
  // sessions.
  SessionDesk(std::shared_ptr<MeshLoops> loops, std::shared_ptr<const PairSettings> settings,
              NodeIdentity identity, PeerDirectory& directory);

  // Keeps strangers' connections from crowding out those from members' hosts.
  HelloPlaces& places() { return places_; }
  // The pair has dialled this session; the session begins after this returns.
  void Expect(const SessionRef& session, std::shared_ptr<Pair> pair) WEFT_EXCLUDES(mu_);

  // SessionHooks
  void OnLoop(size_t index, IoThread& io, NodeLoop& loop) override;
  void OnLoopGone(size_t index) WEFT_LOOP_ONLY override;
  void OnAccepted(const SessionRef& session, const std::string& address) WEFT_LOOP_ONLY override;
  absl::Status OnHello(const SessionRef& session, const HelloFacts& peer) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_) override;
  SessionHost::Verdict Judge(const SessionRef& session, const std::string& address,
                             SessionHost::Verdict verdict) WEFT_LOOP_ONLY override;
  absl::Status OnIdentified(const SessionRef& session, const ConnectedPeer& who,
                            const HelloFacts& peer, HelloFacts* own) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_) override;
  void OnUp(const SessionRef& session, std::shared_ptr<CallLink> link,
            std::shared_ptr<ConnectionGauge> gauge) WEFT_LOOP_ONLY override;
  bool Stays(const SessionRef& session) WEFT_LOOP_ONLY override {
    return PairOf(session) != nullptr;
  }
  std::shared_ptr<const CallingWay> WayOf(const SessionRef& session) WEFT_LOOP_ONLY override;
  void OnOwnCallsEnded(const SessionRef& session) WEFT_LOOP_ONLY override;
  void OnSuspect(const SessionRef& session, bool suspect) WEFT_LOOP_ONLY override;
  void OnGoingAway(const SessionRef& session, const absl::Status& why) WEFT_LOOP_ONLY override;
  void OnEnded(const SessionRef& session, CloseReason reason,
               const absl::Status& why) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_) override;
  WEFT_ANY_THREAD std::unique_ptr<CallTarget> CallerFor(
      const std::shared_ptr<CallLink>& link) override;

 private:
  // A session of a node.
  struct Entry {
    std::shared_ptr<Pair> pair = nullptr;  // set when dialled, or when its pair has accepted it
    // By this node.
    bool dialled = false;
    // The peer's name and incarnation, as its Hello says.
    std::string node = {};
    uint64_t incarnation = 0;
    uint64_t asked = 0;                         // the number of a rival that was probed and is dead
    absl::Status complaint = absl::OkStatus();  // about its Hello, or why this node refuses it
  };

  WEFT_ANY_THREAD std::shared_ptr<Pair> PairOf(const SessionRef& session) WEFT_EXCLUDES(mu_);
  absl::Status Complaint(const HelloFacts& peer, const std::string& wanted) const;
  // Goes on with a session that the authenticator has let in.
  WEFT_ANY_THREAD void OnVerdict(const SessionRef& session, const std::string& address,
                                 std::string identity, SessionHost::Verdict verdict)
      WEFT_EXCLUDES(mu_);
  WEFT_ANY_THREAD void SetAsked(const SessionRef& session, const SessionRef& rival)
      WEFT_EXCLUDES(mu_);
  WEFT_ANY_THREAD void Keep(const SessionRef& session, const absl::Status& why) WEFT_EXCLUDES(mu_);
  WEFT_ANY_THREAD absl::Status CheckName(const Entry& entry, const std::string& identity,
                                         const std::string& address, SessionRef* rival);
  WEFT_ANY_THREAD absl::Status Duplicate(const Entry& entry, const std::string& address) const;
  WEFT_ANY_THREAD void Refused(const Entry& entry, const absl::Status& why);

  const std::shared_ptr<MeshLoops> loops_;
  const std::shared_ptr<const PairSettings> settings_;
  const NodeIdentity identity_;
  PeerDirectory& directory_;
  const std::shared_ptr<RivalProbes> probes_;
  HelloPlaces places_;
  Mutex mu_;
  std::unordered_map<uint64_t, Entry> entries_ WEFT_GUARDED_BY(mu_);  // by connection
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_SESSION_DESK_H_
