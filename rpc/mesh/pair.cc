#include "weft/rpc/mesh/pair.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/random_bits.h"
#include "weft/rpc/base/wire_status.h"

namespace weft::internal {
namespace {

// After this many failed attempts in a row, calls that do not wait for the peer fail.
// Not after the first: one lost SYN or a peer that restarts is over in a moment.
constexpr uint32_t kFailsFast = 2;

// The peer or this node refused: trying again helps only after one of them has changed.
bool IsRefusal(const absl::Status& why) {
  switch (why.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kInvalidArgument:
      return true;
    default:
      return false;
  }
}

// A fixed hash (FNV-1a), so that runs repeat. The two ends need not agree on it.
size_t LoopOf(const std::string& name, size_t slot, size_t loops) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return (hash + slot) % loops;
}

// For the lines of the log.
std::string PlaceOf(const PeerInfo& peer) { return absl::StrCat(peer.name, " at ", peer.address); }

}  // namespace

// Declared before the MutexLock in each function, so that its destructor runs after the release.
// Links, loops and the host call back into the pair or the user's code.
class Pair::Deeds {
 public:
  explicit Deeds(Pair& pair) : pair_(pair) {}
  ~Deeds() {
    MeshLoops& loops = *pair_.around_.loops;
    for (const auto& [session, why] : leave)
      loops.Leave(session, why, pair_.around_.settings->grace);
    for (const auto& [session, why] : close) loops.Close(session, CloseReason::kLocal, why);
    for (const auto& [dialer, pause] : dial) dialer->DialAfter(pause);
    if (link) pair_.links_.TellOfLink();
    if (ends) pair_.links_.TellOfEnds();
    if (down) pair_.links_.TellDown();
    if (wrong_node.has_value()) pair_.around_.host->OnWrongNode(pair_, *wrong_node);
    if (duplicate.has_value()) pair_.around_.host->OnDuplicateName(*duplicate);
  }
  Deeds(const Deeds&) = delete;
  Deeds& operator=(const Deeds&) = delete;

  std::vector<std::pair<SessionRef, absl::Status>> leave, close;
  std::vector<std::pair<std::shared_ptr<SlotDialer>, Nanos>> dial;
  bool link = false, ends = false, down = false;
  std::optional<absl::Status> wrong_node, duplicate;

 private:
  Pair& pair_;
};

Pair::Pair(std::string name, Around around, uint64_t seed)
    : name_(std::move(name)),
      around_(std::move(around)),
      links_(around_.settings->slots,
             [this] {
               Deeds deeds(*this);
               MutexLock lock(mu_);
               DialAfter(0, Nanos::zero(), deeds);
             }),
      slots_(around_.settings->slots),
      outage_(around_.settings->log, absl::StrCat("node ", around_.settings->node), "peer"),
      random_(seed) {
  info_.name = name_;
}

Pair::~Pair() = default;

void Pair::Begin() {
  MutexLock lock(mu_);
  since_ = around_.loops->Now();
  for (size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].dialer =
        std::make_shared<SlotDialer>(around_.loops, LoopOf(name_, i, around_.loops->size()),
                                     around_.dialing, *this, weak_from_this(), i);
    // A jitter of 1.0 draws each pause from 0 to twice the base, hence the halves.
    const PairSettings& settings = *around_.settings;
    slots_[i].pauses =
        std::make_unique<DialPauses>(settings.backoff / 2, settings.backoff_factor,
                                     settings.max_backoff / 2, 1.0, NextRandomBits(&random_));
  }
}

// ---- the view

void Pair::Join(std::string address) {
  links_.SetOver(absl::OkStatus());
  Deeds deeds(*this);
  MutexLock lock(mu_);
  info_.address = std::move(address);
  if (std::exchange(member_, true)) return;
  UpdateState(absl::OkStatus());
  // The smaller name dials first; if both did, one of two connections would go again.
  const Nanos yield = around_.settings->yield;
  DialAfter(0, smaller() ? Nanos::zero() : yield / 2 + Drawn(yield), deeds);
}

void Pair::Move(std::string address) {
  std::vector<std::shared_ptr<SlotDialer>> dialers;
  {
    Deeds deeds(*this);
    MutexLock lock(mu_);
    info_.address = std::move(address);
    for (size_t i = 0; i < slots_.size(); ++i) {
      // A new address has a clean record: failures of the old one say nothing about it.
      Forget(slots_[i]);
      if (slots_[i].pair.dials()) dialers.push_back(slots_[i].dialer);
      DialAfter(i, Nanos::zero(), deeds);
    }
  }
  const absl::Status why = absl::UnavailableError(absl::StrCat(name_, " has another address now"));
  for (const auto& dialer : dialers) dialer->Abort(why);
}

void Pair::Leave(const absl::Status& why) {
  links_.SetOver(why);
  std::vector<std::shared_ptr<SlotDialer>> dialers;
  {
    Deeds deeds(*this);
    MutexLock lock(mu_);
    member_ = false;
    for (Slot& slot : slots_) {
      if (slot.pair.holds()) slot.pair.Lost(slot.pair.held());
      dialers.push_back(slot.dialer);
    }
    // Calls under way on the sessions may finish; the sessions take no new ones.
    for (Record& record : records_) Beat(record, Beaten::kCrossed, deeds);
    UpdateState(why);
  }
  for (const auto& dialer : dialers) dialer->Abort(why);
}

void Pair::Retire() {
  MutexLock lock(mu_);
  retired_ = true;
  for (Slot& slot : slots_) slot.dialer->Close();
}

// ---- dialling

void Pair::DialAfter(size_t slot, Nanos pause, Deeds& deeds) {
  if (!member_ || retired_ || slot >= wished_ ||
      slots_[slot].pair.state() != PairSlot::State::kNone)
    return;
  deeds.dial.emplace_back(slots_[slot].dialer, pause);
}

void Pair::Forget(Slot& slot) {
  slot.failures = 0;
  slot.pauses->Reset();
}

Nanos Pair::Drawn(Nanos most) {
  return Nanos(static_cast<int64_t>(static_cast<double>(most.count()) * NextRandomShare(&random_)));
}

bool Pair::BeginDial(size_t slot, SlotDial* dial) {
  MutexLock lock(mu_);
  PairSlot& pair = slots_[slot].pair;
  if (!member_ || retired_ || pair.state() != PairSlot::State::kNone) return false;
  absl::StatusOr<HostPort> address = HostPort::Parse(info_.address);
  if (!address.ok()) return false;  // never: a view has checked its addresses
  ++info_.dials;
  const PairSettings& settings = *around_.settings;
  dial->address = *std::move(address);
  dial->text = info_.address;
  dial->own.node = settings.node;
  dial->own.cluster = settings.cluster;
  dial->own.incarnation = settings.incarnation;
  dial->own.token = settings.token;
  dial->own.dial_number = pair.BeginDial();
  dial->own.last_dial = dial->own.dial_number;
  // The peer refuses what is meant for another node: an address may have got a new owner.
  dial->own.wanted_node = name_;
  dial->own.slot = static_cast<uint32_t>(slot);
  dial->own.slots = static_cast<uint32_t>(settings.slots);
  return true;
}

void Pair::OnDialled(size_t slot, const SessionRef& session) {
  {
    MutexLock lock(mu_);
    Record record{.session = session, .slot = slot, .dialled = true};
    record.number = slots_[slot].pair.last_dial();
    record.since = around_.loops->Now();
    records_.push_back(std::move(record));
  }
  around_.host->OnDialled(session, shared_from_this());
}

void Pair::OnDialFailed(size_t slot, const absl::Status& why) {
  Deeds deeds(*this);
  MutexLock lock(mu_);
  slots_[slot].pair.EndDial();
  Fail(slot, why, deeds);
}

void Pair::Fail(size_t slot, const absl::Status& why, Deeds& deeds) {
  Slot& s = slots_[slot];
  ++info_.failures;
  ++s.failures;
  DialAfter(slot, s.pauses->Next(why), deeds);
  if (absl::IsNotFound(why)) deeds.wrong_node = why;
  if (absl::IsAlreadyExists(why)) deeds.duplicate = why;
  const bool lost = PeerStates::Reached(info_.state);
  UpdateState(why);
  if (PeerStates::Away(info_.state)) {
    info_.why = why;
    if (!lost && !retired_) outage_.Failed(around_.loops->Now(), PlaceOf(info_), why);
  }
  const bool none = std::ranges::none_of(slots_, [](const Slot& one) { return one.pair.holds(); });
  if (none && (retired_ || s.failures >= kFailsFast || IsRefusal(why))) {
    links_.SetDown(absl::Status(
        why.code() == absl::StatusCode::kNotFound ? absl::StatusCode::kUnavailable : why.code(),
        absl::StrCat("peer ", name_, " is ",
                     IsRefusal(why) ? "not to be had: " : "down: ", why.message())));
    deeds.down = true;
  }
}

// ---- its sessions

Pair::Record* Pair::Find(const SessionRef& session) {
  const auto it = std::ranges::find_if(
      records_, [&](const Record& record) { return record.session.id == session.id; });
  return it != records_.end() ? &*it : nullptr;
}

SessionRef Pair::Rival(uint64_t incarnation) const {
  MutexLock lock(mu_);
  for (const Slot& slot : slots_) {
    // The same incarnation is the same process, which has lost its end: no rival.
    if (!slot.pair.holds() || slot.pair.held_incarnation() == incarnation) continue;
    for (const Record& record : records_) {
      if (record.session.id != slot.pair.held()) continue;
      return record.session;
    }
  }
  return {};
}

absl::Status Pair::Accept(const SessionRef& session, const HelloFacts& peer, uint32_t wire_version,
                          uint64_t asked, HelloFacts* own) {
  Deeds deeds(*this);
  MutexLock lock(mu_);
  const PairSettings& settings = *around_.settings;
  if (!member_) {
    return absl::UnavailableError(
        absl::StrCat(name_, " is no member in the view of ", settings.node));
  }
  if (peer.slot >= slots_.size()) {
    return absl::InvalidArgumentError(absl::StrCat("connection ", peer.slot, ", and ",
                                                   settings.node, " keeps ", slots_.size(),
                                                   " to each peer"));
  }
  PairSlot& pair = slots_[peer.slot].pair;
  if (peer.dial_number == 0 || !pair.Rises(peer.incarnation, peer.dial_number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dial number ", peer.dial_number, " is not above those that ", name_, " has used before"));
  }
  if (pair.holds() && pair.held_incarnation() != peer.incarnation && pair.held() != asked) {
    // Nobody has probed this rival: it came up meanwhile. The peer's next attempt probes it.
    return absl::UnavailableError(
        absl::StrCat("another process has come up as ", name_, " meanwhile"));
  }
  pair.Heard(peer.incarnation, peer.dial_number);
  own->node = settings.node;
  own->cluster = settings.cluster;
  own->incarnation = settings.incarnation;
  own->token = settings.token;
  own->last_dial = pair.last_dial();
  own->slot = peer.slot;
  own->slots = static_cast<uint32_t>(settings.slots);
  Record record{.session = session, .slot = peer.slot};
  record.number = peer.dial_number;
  record.since = around_.loops->Now();
  records_.push_back(std::move(record));
  Settle(records_.back(), peer, wire_version, {!smaller(), peer.dial_number, pair.last_dial()},
         deeds);
  return absl::OkStatus();
}

void Pair::OnAnswered(const SessionRef& session, const HelloFacts& peer, uint32_t wire_version) {
  Deeds deeds(*this);
  MutexLock lock(mu_);
  Record* const record = Find(session);
  if (record == nullptr || record->settled) return;
  slots_[record->slot].pair.EndDial();
  Settle(*record, peer, wire_version, {smaller(), record->number, peer.last_dial}, deeds);
}

void Pair::Settle(Record& record, const HelloFacts& peer, uint32_t wire_version,
                  const PairConnection& facts, Deeds& deeds) {
  record.settled = true;
  if (calling_ == nullptr || info_.incarnation != peer.incarnation) {
    // A new incarnation is a new caller: the order of its calls does not go on from its
    // predecessor's.
    calling_ = std::make_shared<CallingNode>();
  }
  info_.incarnation = peer.incarnation;
  info_.wire_version = wire_version;
  // Both nodes keep as many connections as the one with the fewer slots.
  wished_ = std::clamp<size_t>(peer.slots, 1, slots_.size());
  links_.SetWished(wished_);
  PairSlot& pair = slots_[record.slot].pair;
  const PairSlot::Choice choice = pair.Choose({record.session.id, peer.incarnation, facts});
  // A connection that does not stay ranks just below the held one, above all earlier ones. Ranks
  // rise by two to leave that gap.
  const Record* const stays = choice.stays ? nullptr : Find({0, pair.held()});
  const uint64_t rank = stays != nullptr ? stays->way->rank - 1 : last_rank_ += 2;
  record.way = std::make_shared<const CallingWay>(CallingWay{calling_, record.slot, rank});
  // The peer left the view during the handshake.
  if (!member_) {
    pair.Lost(record.session.id);
    Beat(record, Beaten::kCrossed, deeds);
  }
  if (choice.beaten == 0) return;
  if (Record* const beaten = Find({0, choice.beaten})) Beat(*beaten, choice.how, deeds);
}

std::shared_ptr<const CallingWay> Pair::WayOf(const SessionRef& session) {
  MutexLock lock(mu_);
  const Record* const record = Find(session);
  return record != nullptr ? record->way : nullptr;
}

// kLost: the peer has lost its end, so calls under way here can never finish. kCrossed: both ends
// have the connection, and its calls finish first.
void Pair::Beat(Record& record, Beaten how, Deeds& deeds) {
  if (std::exchange(record.leaving, true)) return;
  if (how == Beaten::kLost) {
    deeds.close.emplace_back(
        record.session,
        absl::UnavailableError(absl::StrCat(name_, " has lost this connection, and made another")));
  } else {
    deeds.leave.emplace_back(record.session, absl::UnavailableError(absl::StrCat(
                                                 "another connection with ", name_, " stays")));
  }
}

void Pair::OnUp(const SessionRef& session, std::shared_ptr<CallLink> link,
                std::shared_ptr<ConnectionGauge> gauge) {
  Deeds deeds(*this);
  MutexLock lock(mu_);
  Record* const record = Find(session);
  if (record == nullptr) return;
  record->gauge = std::move(gauge);
  record->since = around_.loops->Now();
  // Beaten while it came up: another connection is the slot's.
  if (record->leaving || slots_[record->slot].pair.held() != session.id) return;
  links_.Set(record->slot, std::move(link), session.id);
  deeds.link = true;
  const Nanos yield = around_.settings->yield;
  // The peer is reachable now, so the other slots do not wait for their pauses. The larger name
  // still yields.
  for (size_t i = 0; i < wished_; ++i) {
    DialAfter(i, smaller() ? Nanos::zero() : yield / 2 + Drawn(yield), deeds);
  }
  UpdateState(absl::OkStatus());
}

void Pair::OnSuspect(const SessionRef& session, bool suspect) {
  Deeds deeds(*this);
  MutexLock lock(mu_);
  Record* const record = Find(session);
  if (record == nullptr) return;
  record->suspect = suspect;
  UpdateState(absl::UnavailableError("a heartbeat was not answered in time"));
}

void Pair::OnGoingAway(const SessionRef& session, const absl::Status& why) {
  Deeds deeds(*this);
  MutexLock lock(mu_);
  Record* const record = Find(session);
  if (record == nullptr) return;
  // A refusal during the handshake. The session ends soon, and OnEnded reports this reason.
  if (!record->settled) {
    record->refusal = why;
    return;
  }
  // The peer's calls may still come until it closes: a node that stops finishes its own calls.
  record->leaving = true;
  PairSlot& slot = slots_[record->slot].pair;
  if (slot.state() == PairSlot::State::kHeldDialling && slot.held() == session.id) {
    // The peer gives up this connection for the one that this node is dialling. Do not count it as
    // a failure: the end of that dial decides the peer's state.
    slot.Lost(session.id);
    links_.Clear(record->slot);
    return;
  }
  Lose(*record, why, deeds);
}

void Pair::OnEnded(const SessionRef& session, const absl::Status& why) {
  Deeds deeds(*this);
  deeds.ends = true;
  MutexLock lock(mu_);
  Record* const record = Find(session);
  if (record == nullptr) return;
  if (record->settled) {
    Lose(*record, why, deeds);
    links_.Forget(session.id);
  } else {
    slots_[record->slot].pair.EndDial();
    Fail(record->slot, record->refusal.ok() ? why : record->refusal, deeds);
  }
  records_.erase(records_.begin() + (record - records_.data()));
}

void Pair::Lose(Record& record, const absl::Status& why, Deeds& deeds) {
  Slot& slot = slots_[record.slot];
  if (!slot.pair.Lost(record.session.id)) return;
  links_.Clear(record.slot);
  const PairSettings& settings = *around_.settings;
  // A connection that never came up, or not for long, counts as a failed dial. Otherwise a peer
  // that accepts and closes would be dialled without a pause.
  if (record.gauge == nullptr || around_.loops->Now() - record.since < settings.lasting) {
    Fail(record.slot, why, deeds);
    return;
  }
  Forget(slot);
  // A peer that was lost is missed by all its members at the same time. The larger the cluster, the
  // longer their dials are spread.
  const size_t members = settings.members.load(std::memory_order_relaxed);
  const Nanos spread =
      std::min(settings.max_spread, settings.spread * static_cast<int64_t>(members));
  DialAfter(record.slot, Drawn(spread), deeds);
  UpdateState(why);
}

void Pair::UpdateState(const absl::Status& why) {
  PeerState to = info_.state;
  bool up = false, suspect = false;
  for (const Record& record : records_) {
    // Only connections that are up and in use decide. Leaving ones do not.
    if (record.gauge == nullptr || slots_[record.slot].pair.held() != record.session.id) continue;
    (record.suspect ? suspect : up) = true;
  }
  if (!member_) {
    to = PeerState::kLeft;
  } else if (up) {
    to = PeerState::kUp;
  } else if (suspect) {
    to = PeerState::kSuspect;
  } else if (!why.ok()) {
    to = IsRefusal(why) ? PeerState::kRefused : PeerState::kDown;
  } else if (info_.state == PeerState::kLeft) {
    to = PeerState::kConnecting;
  }
  if (to == info_.state) return;
  WEFT_DCHECK(PeerStates::MayGo(info_.state, to));
  const PeerState from = std::exchange(info_.state, to);
  info_.why = to == PeerState::kUp ? absl::OkStatus() : why;
  since_ = around_.loops->Now();
  if (to == PeerState::kUp) outage_.Back(since_, PlaceOf(info_));
  if (to == PeerState::kLeft) outage_.Forget();
  const bool lost = PeerStates::Reached(from) && PeerStates::Away(to);
  if (lost && !retired_) outage_.Lost(since_, PlaceOf(info_), why);
  around_.host->OnPeerState(info_);
}

PeerState Pair::state() const {
  MutexLock lock(mu_);
  return info_.state;
}

PeerInfo Pair::Info() const {
  const MonoTime now = around_.loops->Now();
  MutexLock lock(mu_);
  PeerInfo info = info_;
  info.in_state = ToAbsl(now - since_);
  for (const Record& record : records_) {
    PeerConnectionInfo connection;
    connection.id = record.session.id;
    connection.dialled = record.dialled;
    connection.slot = record.slot;
    connection.age = ToAbsl(now - record.since);
    connection.leaving = record.leaving;
    connection.suspect = record.suspect;
    if (record.gauge != nullptr) {
      const ConnectionVolume volume = record.gauge->Volume();
      connection.bytes_in = volume.bytes_in;
      connection.bytes_out = volume.bytes_out;
      connection.queued = volume.queued;
      connection.calls = volume.calls;
      connection.timing = record.gauge->Timing();
    }
    info.connections.push_back(connection);
  }
  return info;
}

}  // namespace weft::internal
