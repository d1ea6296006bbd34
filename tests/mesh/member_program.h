// A node of a cluster that keeps registers: some with itself alone, some with all the others, which
// it writes and reads by majorities, as the public broadcasts have it.
//
//   write   the newest version of a majority, and one more, to all; over when a majority has it
//   read    the newest of a majority, written back to a majority before it is told
//
// Threads  the simulation's
#ifndef WEFT_TESTS_MESH_MEMBER_PROGRAM_H_
#define WEFT_TESTS_MESH_MEMBER_PROGRAM_H_

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/mesh/both_kept.h"
#include "tests/mesh/register_world.h"
#include "tests/protos/register.weft.h"
#include "weft/rpc/broadcast.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"

namespace weft::test {

class MemberProgram final : public RegisterProgram {
 public:
  MemberProgram(World& world, SimulatedNode& node) : RegisterProgram(world, node) {
    std::vector<Member> members;
    for (const std::string& name : world.names) {
      members.push_back({name, absl::StrCat("inproc:", name)});
    }
    NodeOptions options;
    options.name = node.name();
    options.cluster = "simulated";
    options.listen = {node.address()};
    options.members = *StaticMembers::Create(std::move(members));
    options.incarnation = node.incarnation();
    options.server.runtime = node.runtime();
    options.server.network = node.network();
    options.calls.retry.attempts = 3;
    if (world.plants.keeps_both) {
      options.server.protocols = {BothKept::Row()};
      options.calls.protocol = BothKept::Row();
    }
    member_ = *Node::Create(std::move(options));
    EXPECT_EQ(member_->Register(*this), absl::OkStatus());
    EXPECT_EQ(member_->Start(), absl::OkStatus());
  }

  Node& member() { return *member_; }

  void CallAnything(int number) override {
    const std::string to = world().AnyName();
    const std::string key = absl::StrCat("all/", world().sim.Random(3));
    switch (world().sim.Random(9)) {
      case 0:
        TellSome();
        return;
      case 1:
      case 2:
        world().keys.insert({"", key});
        WriteToMajority(key, number);
        return;
      case 3:
      case 4:
        ReadFromMajority(key);
        return;
      case 5:
        CallInOrder(to);
        return;
      default:
        CallOne(to, world().sim.Random(2) == 0, number);
        return;
    }
  }

  // Sends one write to all nodes, this one too. There is time enough, and no second attempt.
  void TellAll() {
    const History::Id id = Began(History::Kind::kBroadcast, "", members());
    auto round = std::make_shared<Round>();
    Options options = Wishes(*round, absl::Seconds(10));
    options.want = Want::All();
    options.max_attempts = 1;
    Tell(id, round, options, WriteOf("", 0, id));
  }

  void Append(ServerContext&, RegisterWrite& request, Responder<RegisterReply> responder) override {
    AnswerLater(request, std::move(responder));
  }
  // Keeps the order of the calls of one connection only.
  void Push(ServerContext& call, RegisterWrite& request,
            Responder<RegisterReply> responder) override {
    absl::Duration& free_at = free_at_[call.peer()];
    free_at = std::max(free_at, node().Now()) + Soon();
    auto later = std::make_shared<Responder<RegisterReply>>(std::move(responder));
    node().After(free_at - node().Now(),
                 [this, request, later]() mutable { AnswerLater(request, std::move(*later)); });
  }

  // Reads the registers that all nodes share from a majority, and records the results for this
  // node.
  void ReadFinally() override {
    RegisterProgram::ReadFinally();
    for (const auto& [where, key] : world().keys) {
      if (!where.empty()) continue;
      const History::Id id = Began(History::Kind::kBroadcast, key, Majority());
      ReadRound(id, key, absl::Seconds(10),
                [&world = world(), name = node().name(), key, id](const Heard& heard) {
                  world.Ended(id, heard.outcome);
                  if (heard.outcome == History::Outcome::kOk) {
                    world.FinallyRead(name, key, &heard.newest.value);
                  } else {
                    world.unread = absl::InternalError(
                        absl::StrCat(name, " cannot read ", key, " in the end: ", heard.why));
                  }
                });
    }
  }

 private:
  using Options = BroadcastOptions;
  // The outcome of a broadcast.
  struct Heard {
    History::Outcome outcome = History::Outcome::kUnknown;
    World::Cell newest = {};
    std::string why = {};
  };
  using Then = std::function<void(const Heard& heard)>;
  // The objects that have to outlive a broadcast's outcome.
  struct Round {
    std::optional<PeerSet> to;
    ClientContext context;
    Newest<RegisterReply, int64_t> newest{[](const RegisterReply& r) { return r.version(); }};
  };

  // The node owns its peers, so a target outlives the call.
  CallTarget& TargetOf(const std::string& name) override { return *member_->To(name); }
  int members() { return static_cast<int>(world().names.size()); }
  int Majority() { return members() / 2 + 1; }

  // Records the beginning of a broadcast that has to be executed on `needed` nodes if it ends with
  // OK.
  History::Id Began(History::Kind kind, const std::string& key, int needed,
                    const std::string& value = "") {
    return world().Began({.kind = kind,
                          .key = key,
                          .value = value,
                          .sent = History::Sent::kToEach,
                          .needed = needed});
  }

  // Returns options, drawn at random, for a round that wants a majority. The options refer to
  // `round`.
  Options Wishes(Round& round, absl::Duration timeout) {
    if (world().plants.counts_reachable) {
      const std::shared_ptr<const PeerSet> all = member_->Snapshot();
      std::vector<PeerInfo> peers = member_->peers();
      std::erase_if(peers, [](const PeerInfo& peer) { return peer.state != PeerState::kUp; });
      std::vector<std::string_view> names = {node().name()};
      for (const PeerInfo& peer : peers) names.push_back(peer.name);
      round.to = all->Only(names);
    }
    return {.want = Want::Majority(),
            .timeout = timeout,
            .to = round.to.has_value() ? &*round.to : nullptr,
            .self = Self::kCall,
            .slow = static_cast<weft::Slow>(node().Random(3)),
            .let_rest_run = node().Random(2) == 0,
            .context = &round.context,
            .idempotent = world().plants.resends};
  }

  // Tells the history how the broadcast ended, as a whole and on each node.
  static Heard Hear(World& world, History::Id id, const Round& round,
                    const BroadcastResult<RegisterReply>& result) {
    for (const PeerReply<RegisterReply>& peer : result.peers) {
      world.history.EndedAt(
          id, peer.name,
          peer.end == PeerEnd::kOpen
              ? History::Outcome::kUnknown
              : History::OutcomeOf(peer.reply.status(), peer.may_have_been_executed));
    }
    Heard heard;
    heard.outcome = History::OutcomeOf(result.status, round.context.may_have_been_executed());
    heard.why = result.status.ToString();
    if (const RegisterReply* const newest = round.newest.In(result)) {
      heard.newest = {newest->version(), newest->value()};
    }
    return heard;
  }

  // These two run one broadcast each. `then` may be called while this program is being destroyed.
  void ReadRound(History::Id id, const std::string& key, absl::Duration timeout, Then then) {
    RegisterRead request;
    request.set_key(key);
    request.set_call(static_cast<int64_t>(id));
    auto round = std::make_shared<Round>();
    BroadcastAsync(*member_, Register::kRead, request, Wishes(*round, timeout), round->newest,
                   [&world = world(), id, round, then = std::move(then)](auto result) {
                     then(Hear(world, id, *round, result));
                   });
  }
  void WriteRound(History::Id id, const std::string& key, const World::Cell& cell, Then then) {
    RegisterWrite request = WriteOf(key, cell.value, id);
    request.set_version(cell.version);
    auto round = std::make_shared<Round>();
    BroadcastAsync(*member_, Register::kWrite, request, Wishes(*round, Timeout()),
                   [&world = world(), id, round, then = std::move(then)](auto result) {
                     then(Hear(world, id, *round, result));
                   });
  }
  // True if there is still a program that may begin another round.
  static bool Lives(const SimulatedNode& node) { return node.state() == SimulatedNode::State::kUp; }

  void WriteToMajority(const std::string& key, int64_t value) {
    const History::Id id = Began(History::Kind::kWrite, key, Majority(), absl::StrCat(value));
    const History::Id asking = Began(History::Kind::kBroadcast, key, Majority());
    ReadRound(asking, key, Timeout(),
              [this, &world = world(), &node = node(), key, value, id, asking](const Heard& heard) {
                world.Ended(asking, heard.outcome);
                if (heard.outcome != History::Outcome::kOk || !Lives(node)) {
                  world.Ended(id, History::Outcome::kNotExecuted);
                  return;
                }
                // No other write has this version, since `id` is part of it.
                const int64_t version =
                    ((heard.newest.version >> 32) + 1) << 32 | static_cast<int64_t>(id);
                WriteRound(id, key, {version, value},
                           [&world, id](const Heard& end) { world.Ended(id, end.outcome); });
              });
  }

  void ReadFromMajority(const std::string& key) {
    const History::Id id = Began(History::Kind::kRead, key, Majority());
    ReadRound(id, key, Timeout(),
              [this, &world = world(), &node = node(), key, id](const Heard& heard) {
                const bool found = heard.newest.version > 0;
                if (heard.outcome != History::Outcome::kOk || !found || !Lives(node)) {
                  world.Ended(id, found ? History::Outcome::kUnknown : heard.outcome);
                  return;
                }
                const History::Id back = Began(History::Kind::kBroadcast, key, Majority());
                WriteRound(back, key, heard.newest,
                           [&world, id, back, value = heard.newest.value](const Heard& end) {
                             const bool ok = end.outcome == History::Outcome::kOk;
                             world.Ended(back, end.outcome);
                             world.Ended(id, ok ? end.outcome : History::Outcome::kUnknown,
                                         absl::StrCat(value));
                           });
              });
  }

  absl::Duration Soon() { return absl::Microseconds(static_cast<int64_t>(node().Random(20'000))); }
  void AnswerLater(const RegisterWrite& request, Responder<RegisterReply> responder) {
    world().history.Executed(static_cast<History::Id>(request.call()), node().name());
    auto later = std::make_shared<Responder<RegisterReply>>(std::move(responder));
    node().After(Soon(), [later] { later->Finish(); });
  }
  // Makes several calls to another node, one soon after the other. Each is tried once: a retry
  // would be a call of its own.
  void CallInOrder(std::string to) {
    while (to == node().name()) to = world().AnyName();
    for (int64_t i = 0; i < 6; ++i) {
      node().After(absl::Milliseconds(5 * i), [this, to] {
        const History::Id id =
            world().Began({.what = "append",
                           .sent = History::Sent::kOnce,
                           .in_order = absl::StrCat(node().name(), node().incarnation(), ">", to)});
        auto context = std::make_shared<ClientContext>();
        const CallOptions options = {
            .timeout = Timeout(), .context = context.get(), .max_attempts = 1};
        auto done = [&world = world(), id, context](const absl::StatusOr<RegisterReply>& reply) {
          world.Ended(id, History::OutcomeOf(reply.status(), context->may_have_been_executed()));
        };
        Register::Stub stub(TargetOf(to));
        if (world().plants.loses_order) {
          stub.PushAsync(WriteOf("", 0, id), options, std::move(done));
        } else {
          stub.AppendAsync(WriteOf("", 0, id), options, std::move(done));
        }
      });
    }
  }

  // Broadcasts with a random wish for answers, and with a random rule for this node itself.
  void TellSome() {
    const int n = members();
    constexpr Self kSelves[] = {Self::kCall, Self::kCountsItself, Self::kLeftOut};
    const Self self = kSelves[node().Random(3)];
    const bool counts = self != Self::kLeftOut;
    const uint64_t kind = node().Random(5);
    const int most = kind == 2 || counts ? n : n - 1;
    const int some = 1 + static_cast<int>(node().Random(static_cast<uint64_t>(n - 1)));
    const std::pair<Want, int> wants[] = {{Want::All(), most},
                                          {Want::Each(), most},
                                          {Want::Majority(), Majority()},
                                          {Want::First(), 1},
                                          {Want::AtLeast(some), some}};
    const auto& [want, count] = wants[kind];
    const int needed = self == Self::kCountsItself ? count - 1 : count;
    const History::Id id = Began(History::Kind::kBroadcast, "", needed);
    auto round = std::make_shared<Round>();
    Options options = Wishes(*round, Timeout());
    options.want = want;
    options.self = self;
    options.to = nullptr;
    options.wait_for_ready = node().Random(2) == 0;
    if (node().Random(4) == 0) {
      node().After(Soon(), [round] { round->context.Cancel(); });
    }
    RegisterWrite request = WriteOf("", 0, id);
    if (world().plants.hashes) AddInOrderOfHashes(&request);
    Tell(id, round, options, request);
  }
  void Tell(History::Id id, const std::shared_ptr<Round>& round, const Options& options,
            const RegisterWrite& request) {
    BroadcastAsync(*member_, Register::kWrite, request, options,
                   [&world = world(), id, round](auto result) {
                     world.Ended(id, Hear(world, id, *round, result).outcome);
                   });
  }

  // Appends names to the key in the order of their hashes, which differs from process to process.
  static void AddInOrderOfHashes(RegisterWrite* request) {
    struct Hash {
      size_t operator()(const std::string& text) const {
        return std::hash<std::string>()(absl::StrCat(text, " ", ::getpid()));
      }
    };
    std::unordered_set<std::string, Hash> names;
    for (int i = 0; i < 20; ++i) names.insert(absl::StrCat("name", i));
    for (const std::string& name : names) request->mutable_key()->append(name);
  }

  std::unique_ptr<Node> member_;
  std::map<std::string, absl::Duration> free_at_;  // used by Push, by connection
};

}  // namespace weft::test

#endif  // WEFT_TESTS_MESH_MEMBER_PROGRAM_H_
