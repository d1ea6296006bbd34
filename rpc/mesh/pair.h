// The connections between this node and one peer: which exist, which one calls use, and when to
// dial.
//
//   kConnecting, kUp, … : peer_state.h; each slot: pair_slot.h
//
// PeerTable makes a pair for each member and keeps it after the member has left. Sessions are known
// by their number here, whichever side dialled. Decisions are made under one mutex for all loops;
// the actions that follow run on the sessions' loops after the mutex is released (Deeds).
//
// Threads  any; a session's functions on its loop
// Owns     its dialers and its links (PeerLinks). The server owns the sessions
// Errors   Accept: the reason for refusing the peer, in the words that the peer is sent
// Ends     Retire, and the end of its sessions
#ifndef WEFT_RPC_MESH_PAIR_H_
#define WEFT_RPC_MESH_PAIR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/calling_node.h"
#include "weft/rpc/client/dial_pauses.h"
#include "weft/rpc/client/outage_log.h"
#include "weft/rpc/mesh/mesh_loops.h"
#include "weft/rpc/mesh/pair_host.h"
#include "weft/rpc/mesh/pair_settings.h"
#include "weft/rpc/mesh/pair_slot.h"
#include "weft/rpc/mesh/peer_info.h"
#include "weft/rpc/mesh/peer_links.h"
#include "weft/rpc/mesh/peer_state.h"
#include "weft/rpc/mesh/slot_dialer.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/connection_info.h"
#include "weft/rpc/protocol/hello_facts.h"

namespace weft::internal {

class Pair final : public SlotDialerHost, public std::enable_shared_from_this<Pair> {
 public:
  // Parts of the node that every pair uses. All of them outlive the pair.
  struct Around {
    std::shared_ptr<MeshLoops> loops;
    std::shared_ptr<const PairSettings> settings;
    std::shared_ptr<const SlotDialerOptions> dialing;
    PairHost* host;
  };

  Pair(std::string name, Around around, uint64_t seed);
  ~Pair();
  // Called once, after a shared_ptr holds the pair: the dialers keep a weak reference to it.
  void Begin();

  const std::string& name() const { return name_; }
  PeerLinks& links() { return links_; }

  // ---- the view
  // The peer is a member, with this address, from now on.
  void Join(std::string address) WEFT_EXCLUDES(mu_);
  void Move(std::string address) WEFT_EXCLUDES(mu_);
  void Leave(const absl::Status& why) WEFT_EXCLUDES(mu_);
  // This node stops: nothing is dialled any more. Connections that are up go on until their
  // sessions end.
  void Retire() WEFT_EXCLUDES(mu_);

  // ---- its sessions
  // The held connection that belongs to another incarnation than this one. Its process must be
  // probed before the newcomer may take its place. Number 0: none.
  SessionRef Rival(uint64_t incarnation) const WEFT_EXCLUDES(mu_);
  // Judges a connection that the peer has dialled, and fills in `own`, this node's answer. `asked`:
  // the number of the rival that was probed and is dead.
  absl::Status Accept(const SessionRef& session, const HelloFacts& peer, uint32_t wire_version,
                      uint64_t asked, HelloFacts* own) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  // The peer has answered on a connection that this node has dialled.
  void OnAnswered(const SessionRef& session, const HelloFacts& peer,
                  uint32_t wire_version) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  void OnUp(const SessionRef& session, std::shared_ptr<CallLink> link,
            std::shared_ptr<ConnectionGauge> gauge) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  void OnSuspect(const SessionRef& session, bool suspect) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  void OnGoingAway(const SessionRef& session, const absl::Status& why) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_);
  void OnEnded(const SessionRef& session, const absl::Status& why) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_);

  // The peer's incarnation and the rank of this connection, for ordering its calls. Null before
  // Accept or OnAnswered.
  std::shared_ptr<const CallingWay> WayOf(const SessionRef& session) WEFT_EXCLUDES(mu_);

  PeerInfo Info() const WEFT_EXCLUDES(mu_);
  PeerState state() const WEFT_EXCLUDES(mu_);

 private:
  struct Slot {
    PairSlot pair;
    std::shared_ptr<SlotDialer> dialer;
    std::unique_ptr<DialPauses> pauses;
    uint32_t failures = 0;  // in a row, since a connection lasted
  };
  // One session of the pair, from its dial or its Accept to its end.
  struct Record {
    SessionRef session;
    size_t slot = 0;
    uint64_t number = 0;   // of its dialer
    bool dialled = false;  // by this node
    bool settled = false;  // both Hellos are known, and the tie is broken
    bool leaving = false;
    bool suspect = false;
    MonoTime since{};
    std::shared_ptr<ConnectionGauge> gauge = nullptr;  // from OnUp on
    std::shared_ptr<const CallingWay> way = nullptr;   // set when settled
    absl::Status refusal = absl::OkStatus();           // the peer's reason, sent before its Hello
  };
  // Actions collected under the mutex and performed after its release.
  class Deeds;

  // SlotDialerHost
  bool BeginDial(size_t slot, SlotDial* dial) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_) override;
  void OnDialled(size_t slot, const SessionRef& session) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_) override;
  void OnDialFailed(size_t slot, const absl::Status& why) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_) override;

  Record* Find(const SessionRef& session) WEFT_REQUIRES(mu_);
  bool smaller() const { return around_.settings->node < name_; }
  void Settle(Record& record, const HelloFacts& peer, uint32_t wire_version,
              const PairConnection& facts, Deeds& deeds) WEFT_REQUIRES(mu_);
  void Beat(Record& record, Beaten how, Deeds& deeds) WEFT_REQUIRES(mu_);
  // The connection is no longer held; dials again if needed.
  void Lose(Record& record, const absl::Status& why, Deeds& deeds) WEFT_REQUIRES(mu_);
  void Fail(size_t slot, const absl::Status& why, Deeds& deeds) WEFT_REQUIRES(mu_);
  void DialAfter(size_t slot, Nanos pause, Deeds& deeds) WEFT_REQUIRES(mu_);
  // Forgets the slot's failures.
  static void Forget(Slot& slot);
  // A random share of `most`.
  Nanos Drawn(Nanos most) WEFT_REQUIRES(mu_);
  void UpdateState(const absl::Status& why) WEFT_REQUIRES(mu_);

  const std::string name_;
  const Around around_;
  PeerLinks links_;

  mutable Mutex mu_;
  std::vector<Slot> slots_ WEFT_GUARDED_BY(mu_);
  // Number of slots that both nodes want; 1 until the peer has said how many.
  size_t wished_ WEFT_GUARDED_BY(mu_) = 1;
  std::vector<Record> records_ WEFT_GUARDED_BY(mu_);
  std::shared_ptr<CallingNode> calling_ WEFT_GUARDED_BY(mu_);  // the peer's incarnation
  uint64_t last_rank_ WEFT_GUARDED_BY(mu_) = 0;                // of the last connection that stayed
  bool member_ WEFT_GUARDED_BY(mu_) = false;
  bool retired_ WEFT_GUARDED_BY(mu_) = false;
  PeerInfo info_ WEFT_GUARDED_BY(mu_);  // without connections and times
  MonoTime since_ WEFT_GUARDED_BY(mu_){};
  OutageLog outage_ WEFT_GUARDED_BY(mu_);
  uint64_t random_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_PAIR_H_
