#include "weft/rpc/mesh/session_desk.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/printable.h"

namespace weft::internal {
namespace {

// Target for a handler's calls to the node that called it. It goes by the peer's name, so it
// survives reconnects.
class PeerCaller final : public CallTarget {
 public:
  explicit PeerCaller(std::shared_ptr<CallTarget> peer) : peer_(std::move(peer)) {}
  void Start(OutboundCall& call) override { peer_->Start(call); }

 private:
  const std::shared_ptr<CallTarget> peer_;
};

absl::Status SameAsName(std::string_view node, std::string_view identity, std::string_view) {
  // Empty: there is no authenticator, so nobody has an identity that could be compared.
  if (identity.empty() || identity == node) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat("it says it is ", Printable::Text(node),
                                                  ", and is known as ", Printable::Text(identity)));
}

}  // namespace

SessionDesk::SessionDesk(std::shared_ptr<MeshLoops> loops,
                         std::shared_ptr<const PairSettings> settings, NodeIdentity identity,
                         PeerDirectory& directory)
    : loops_(std::move(loops)),
      settings_(std::move(settings)),
      identity_(identity != nullptr ? std::move(identity) : SameAsName),
      directory_(directory),
      probes_(std::make_shared<RivalProbes>(loops_)) {}

void SessionDesk::OnLoop(size_t index, IoThread& io, NodeLoop& loop) {
  loops_->Add(index, io, loop);
  probes_->Add();
}

void SessionDesk::OnLoopGone(size_t index) {
  probes_->Gone(index);
  loops_->Gone(index);
}

void SessionDesk::OnAccepted(const SessionRef& session, const std::string& address) {
  SessionRef victim;
  // The victim may be on another loop; Close is posted there.
  if (!places_.Enter(session, address, &victim)) return;
  loops_->Close(victim, CloseReason::kHandshakeTimeout,
                absl::ResourceExhaustedError(
                    "too many connections that have not said who they are: the oldest goes"));
}

void SessionDesk::Expect(const SessionRef& session, std::shared_ptr<Pair> pair) {
  MutexLock lock(mu_);
  // OnHello knows a dialled session by this entry.
  Entry& entry = entries_[session.id];
  entry.dialled = true;
  entry.node = pair->name();
  entry.pair = std::move(pair);
}

std::shared_ptr<Pair> SessionDesk::PairOf(const SessionRef& session) {
  MutexLock lock(mu_);
  const auto it = entries_.find(session.id);
  return it != entries_.end() ? it->second.pair : nullptr;
}

// ---- judging

// `wanted`: the node that the session's dialer wants to reach.
absl::Status SessionDesk::Complaint(const HelloFacts& peer, const std::string& wanted) const {
  if (peer.cluster != settings_->cluster) {
    return absl::FailedPreconditionError(absl::StrCat("the cluster here is \"", settings_->cluster,
                                                      "\", not \"", Printable::Text(peer.cluster),
                                                      "\""));
  }
  if (wanted != settings_->node) {
    return absl::NotFoundError(
        absl::StrCat("this is ", settings_->node, ", not ", Printable::Text(wanted)));
  }
  return absl::OkStatus();
}

absl::Status SessionDesk::OnHello(const SessionRef& session, const HelloFacts& peer) {
  // It has said Hello, and no longer takes a stranger's place.
  places_.Leave(session.id);
  MutexLock lock(mu_);
  const auto it = entries_.find(session.id);
  if (it != entries_.end()) {  // dialled by this node
    Entry& entry = it->second;
    entry.incarnation = peer.incarnation;
    if (peer.node.empty()) {
      entry.complaint = absl::NotFoundError(
          absl::StrCat("the server there belongs to no node, and not to ", entry.node));
    } else if (peer.cluster != settings_->cluster) {
      entry.complaint = absl::FailedPreconditionError(
          absl::StrCat("the cluster there is \"", Printable::Text(peer.cluster), "\", not \"",
                       settings_->cluster, "\""));
    } else if (peer.node != entry.node) {
      entry.complaint = absl::NotFoundError(
          absl::StrCat("that is ", Printable::Text(peer.node), ", not ", entry.node));
    }
    return absl::OkStatus();
  }
  // The node's own in-memory connection names the node itself; its secret token proves it. Without
  // an entry it is then treated as a client.
  const bool self = peer.node == settings_->node && peer.token == settings_->own_token;
  if (peer.node.empty() || self) return absl::OkStatus();  // a client
  Entry& entry = entries_[session.id];
  entry.node = peer.node;
  entry.incarnation = peer.incarnation;
  // Kept, not returned: the sender must pass the authenticator before it is told anything.
  entry.complaint = Complaint(peer, peer.wanted_node);
  return absl::OkStatus();
}

SessionHost::Verdict SessionDesk::Judge(const SessionRef& session, const std::string& address,
                                        SessionHost::Verdict verdict) {
  return [self = shared_from_this(), session, address,
          verdict = std::move(verdict)](absl::StatusOr<std::string> identity) {
    if (identity.ok()) {
      self->OnVerdict(session, address, *std::move(identity), verdict);
    } else {
      self->Keep(session, identity.status());
      verdict(std::move(identity));
    }
  };
}

void SessionDesk::OnVerdict(const SessionRef& session, const std::string& address,
                            std::string identity, SessionHost::Verdict verdict) {
  // A copy: the identity check is the program's, and the pair has a mutex of its own. Neither may
  // run under this one.
  Entry entry;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(session.id);
    if (it != entries_.end()) entry = it->second;
  }
  if (entry.node.empty()) {  // a client
    verdict(std::move(identity));
    return;
  }
  SessionRef rival;
  // Kept before the verdict is given: the verdict ends the session, and OnEnded looks for the
  // reason.
  if (absl::Status s = CheckName(entry, identity, address, &rival); !s.ok()) {
    Keep(session, s);
    Refused(entry, s);
    verdict(std::move(s));
    return;
  }
  if (rival.id == 0) {
    verdict(std::move(identity));
    return;
  }
  // A process that was restarted comes with the name of the one before it, whose connection may not
  // have ended yet. Only a probe tells it from a second living process.
  probes_->Ask(session.loop, rival, kRivalAnswers,
               [self = shared_from_this(), this, session, rival, entry = std::move(entry), address,
                identity = std::move(identity), verdict = std::move(verdict)](bool alive) {
                 if (!alive) {
                   // Before the verdict, which leads to OnIdentified: Accept must know that this
                   // rival is dead.
                   SetAsked(session, rival);
                   verdict(identity);
                   return;
                 }
                 absl::Status duplicate = Duplicate(entry, address);
                 Refused(entry, duplicate);
                 verdict(std::move(duplicate));
               });
}

void SessionDesk::SetAsked(const SessionRef& session, const SessionRef& rival) {
  MutexLock lock(mu_);
  const auto it = entries_.find(session.id);
  if (it != entries_.end()) it->second.asked = rival.id;
}

// Keeps the reason for OnEnded: the session is about to end because of it.
void SessionDesk::Keep(const SessionRef& session, const absl::Status& why) {
  MutexLock lock(mu_);
  const auto it = entries_.find(session.id);
  if (it != entries_.end()) it->second.complaint = why;
}

// `rival`: set to a session of another process with this name; unchanged if there is none.
absl::Status SessionDesk::CheckName(const Entry& entry, const std::string& identity,
                                    const std::string& address, SessionRef* rival) {
  if (absl::Status s = identity_(entry.node, identity, address); !s.ok()) return s;
  // After the identity: a stranger learns nothing of this cluster.
  if (!entry.complaint.ok()) return entry.complaint;
  // The node's own connection has no entry (see OnHello), so this is another process.
  if (entry.node == settings_->node) return Duplicate(entry, address);
  const std::shared_ptr<Pair> pair =
      entry.pair != nullptr ? entry.pair : directory_.FindPair(entry.node);
  if (pair == nullptr) {
    // This node's view may be older than the peer's.
    directory_.AskMembership();
    return absl::UnavailableError(absl::StrCat(Printable::Text(entry.node),
                                               " is no member in the view of ", settings_->node));
  }
  // A dialled connection needs no probe: this node dials only where it holds none.
  if (!entry.dialled) *rival = pair->Rival(entry.incarnation);
  return absl::OkStatus();
}

absl::Status SessionDesk::Duplicate(const Entry& entry, const std::string& address) const {
  std::string living = "this process";
  uint64_t incarnation = settings_->incarnation;
  if (entry.node != settings_->node) {
    if (const std::shared_ptr<Pair> pair = directory_.FindPair(entry.node)) {
      const PeerInfo info = pair->Info();
      living = info.address;
      incarnation = info.incarnation;
    }
  }
  return absl::AlreadyExistsError(absl::StrCat("another living process is ",
                                               Printable::Text(entry.node), ": the one at ", living,
                                               ", incarnation ", incarnation, ", not this one at ",
                                               address, ", incarnation ", entry.incarnation));
}

void SessionDesk::Refused(const Entry& entry, const absl::Status& why) {
  NodeEvent event;
  event.kind =
      absl::IsAlreadyExists(why) ? NodeEvent::Kind::kDuplicateName : NodeEvent::Kind::kRefused;
  // A stranger chose the name, and may have put anything into it.
  event.peer = Printable::Text(entry.node);
  event.why = why;
  directory_.Tell(std::move(event));
}

absl::Status SessionDesk::OnIdentified(const SessionRef& session, const ConnectedPeer& who,
                                       const HelloFacts& peer, HelloFacts* own) {
  Entry entry;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(session.id);
    if (it != entries_.end()) entry = it->second;
  }
  if (entry.dialled) {
    // The node's own Hello went out with the dial (SlotDial::own), and only the peer's answer was
    // missing.
    entry.pair->OnAnswered(session, peer, who.wire_version);
    return absl::OkStatus();
  }
  if (entry.node.empty()) {
    if (own != nullptr) {
      // A client learns whom it has reached, but gets no dial number: it takes no part in a tie
      // break.
      own->node = settings_->node;
      own->cluster = settings_->cluster;
      own->incarnation = settings_->incarnation;
    }
    return absl::OkStatus();
  }
  // Accept fills in an answer in any case; without `own` the peer has been answered already.
  HelloFacts unsaid;
  const std::shared_ptr<Pair> pair = directory_.FindPair(entry.node);
  const absl::Status accepted = pair != nullptr
                                    ? pair->Accept(session, peer, who.wire_version, entry.asked,
                                                   own != nullptr ? own : &unsaid)
                                    : absl::UnavailableError("no member any more");
  if (!accepted.ok()) {
    Refused(entry, accepted);
    return accepted;
  }
  MutexLock lock(mu_);
  // From here on the session's events go to the pair.
  entries_[session.id].pair = pair;
  return absl::OkStatus();
}

// ---- the life of a session

void SessionDesk::OnUp(const SessionRef& session, std::shared_ptr<CallLink> link,
                       std::shared_ptr<ConnectionGauge> gauge) {
  if (const std::shared_ptr<Pair> pair = PairOf(session)) {
    pair->OnUp(session, std::move(link), std::move(gauge));
    // Exactly one of two nodes may pause reading: the one with the larger name. Both pausing at
    // once would block each other.
    loops_->node(session.loop)->SetMayPause(session.id, settings_->node > pair->name());
  }
}

void SessionDesk::OnSuspect(const SessionRef& session, bool suspect) {
  if (const std::shared_ptr<Pair> pair = PairOf(session)) pair->OnSuspect(session, suspect);
}

std::shared_ptr<const CallingWay> SessionDesk::WayOf(const SessionRef& session) {
  const std::shared_ptr<Pair> pair = PairOf(session);
  return pair != nullptr ? pair->WayOf(session) : nullptr;
}

void SessionDesk::OnOwnCallsEnded(const SessionRef& session) {
  if (const std::shared_ptr<Pair> pair = PairOf(session)) pair->links().TellOfEnds();
}

void SessionDesk::OnGoingAway(const SessionRef& session, const absl::Status& why) {
  if (const std::shared_ptr<Pair> pair = PairOf(session)) pair->OnGoingAway(session, why);
}

void SessionDesk::OnEnded(const SessionRef& session, CloseReason, const absl::Status& why) {
  places_.Leave(session.id);
  Entry entry;
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(session.id);
    if (it == entries_.end()) return;
    // Out of the map before the pair is called: the pair's own mutex must not be taken under this
    // one.
    entry = std::move(it->second);
    entries_.erase(it);
  }
  if (entry.pair != nullptr) {
    entry.pair->OnEnded(session, entry.complaint.ok() ? why : entry.complaint);
  }
}

std::unique_ptr<CallTarget> SessionDesk::CallerFor(const std::shared_ptr<CallLink>& link) {
  const ConnectedPeer who = link->connected_peer();
  // A client has no address that it could be called at.
  if (who.node.empty()) return nullptr;
  std::shared_ptr<CallTarget> target = directory_.FindTarget(who.node);
  return target != nullptr ? std::make_unique<PeerCaller>(std::move(target)) : nullptr;
}

}  // namespace weft::internal
