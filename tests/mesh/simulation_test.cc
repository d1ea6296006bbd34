// A simulation by itself: virtual time, nodes that pause, die and come back, a network that breaks,
// calls that are refused inside a step, and a seed that decides all of it.
#include "weft/rpc/simulation.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/protos/register.weft.h"
#include "tests/support/log_lines.h"
#include "weft/core/coro.h"
#include "weft/core/event_loop.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A server with a register, and channels to the others.
class Program final : public Register::AsyncService {
 public:
  explicit Program(SimulatedNode& node) : node_(node) {
    ServerOptions options;
    options.runtime = node.runtime();
    options.network = node.network();
    server_ = std::make_unique<Server>(std::move(options));
    EXPECT_EQ(server_->Register(*this), absl::OkStatus());
    EXPECT_EQ(server_->Start(node.address()), absl::OkStatus());
  }

  Channel& To(const std::string& name) {
    std::unique_ptr<Channel>& channel = channels_[name];
    if (channel == nullptr) {
      ChannelOptions options;
      options.runtime = node_.runtime();
      options.network = node_.network();
      channel = *Channel::Create(absl::StrCat("inproc:", name), std::move(options));
    }
    return *channel;
  }

  void Write(ServerContext& call, RegisterWrite& request,
             Responder<RegisterReply> responder) override {
    peers.push_back(call.peer());
    values[request.key()] = request.value();
    responder.reply().set_value(request.value());
    *responder.reply().mutable_notes() = request.notes();
    responder.Finish();
  }
  void Read(ServerContext&, RegisterRead& request, Responder<RegisterReply> responder) override {
    responder.reply().set_value(values[request.key()]);
    responder.Finish();
  }
  void Slow(ServerContext&, RegisterRead&, Responder<RegisterReply> responder) override {
    auto shared = std::make_shared<Responder<RegisterReply>>(std::move(responder));
    // Wait in the node's time: a sleep would stop the one thread that all nodes share.
    node_.After(absl::Seconds(1), [shared] { shared->Finish(); });
  }

  std::map<std::string, int64_t> values;
  std::vector<std::string> peers;

 private:
  SimulatedNode& node_;
  std::unique_ptr<Server> server_;
  std::map<std::string, std::unique_ptr<Channel>> channels_;
};

class SimulationTest : public testing::Test {
 protected:
  void Begin(uint64_t seed = 1) {
    sim_ = std::make_unique<Simulation>(SimulationOptions{.seed = seed});
    for (const char* name : {"a", "b", "c"}) {
      sim_->AddNode(name, [this](SimulatedNode& node) {
        auto program = std::make_shared<Program>(node);
        programs_[node.name()] = program;
        return program;
      });
    }
  }
  std::shared_ptr<Program> At(const std::string& name) { return programs_[name].lock(); }
  Register::Stub Stub(const std::string& from, const std::string& to) {
    return Register::Stub(At(from)->To(to));
  }
  // Writes from one node to another, runs the simulation until the call has ended, and returns its
  // status.
  absl::Status Write(const std::string& from, const std::string& to, int64_t value,
                     CallOptions options = {}) {
    RegisterWrite request;
    request.set_key("k");
    request.set_value(value);
    // The status is shared: when RunUntil gives up, the call may still end after this function has
    // returned.
    auto ended = std::make_shared<std::optional<absl::Status>>();
    // The call is asynchronous: nothing may wait inside a simulation, and its time passes only in
    // RunUntil and RunFor.
    Stub(from, to).WriteAsync(request, options, [ended](absl::StatusOr<RegisterReply> reply) {
      *ended = reply.status();
    });
    if (!sim_->RunUntil([&] { return ended->has_value(); }, absl::Minutes(5))) {
      return absl::InternalError("the call has not ended");
    }
    return **ended;
  }

  // The references are weak: the simulation owns the programs, and a killed node's program is gone
  // at once.
  std::map<std::string, std::weak_ptr<Program>> programs_;
  std::unique_ptr<Simulation> sim_;
};

TEST_F(SimulationTest, CallsTravelBetweenNodesInVirtualTime) {
  Begin();
  EXPECT_EQ(Write("a", "b", 7), absl::OkStatus());
  EXPECT_EQ(At("b")->values["k"], 7);
  EXPECT_EQ(At("b")->peers, std::vector<std::string>{"inproc:a#0"});
  // The virtual time that passed is enough for the way there and back, and little more.
  EXPECT_GT(sim_->Now(), absl::Microseconds(100));
  EXPECT_LT(sim_->Now(), absl::Milliseconds(10));
}

TEST_F(SimulationTest, AHandlerAnswersLaterByItsNodesTime) {
  Begin();
  ASSERT_EQ(Write("a", "b", 1), absl::OkStatus());
  const absl::Duration began = sim_->Now();
  std::optional<absl::Status> ended;
  Stub("a", "b").SlowAsync(RegisterRead(), {},
                           [&](absl::StatusOr<RegisterReply> reply) { ended = reply.status(); });
  ASSERT_TRUE(sim_->RunUntil([&] { return ended.has_value(); }, absl::Minutes(1)));
  EXPECT_EQ(*ended, absl::OkStatus());
  EXPECT_GE(sim_->Now() - began, absl::Seconds(1));
  EXPECT_LT(sim_->Now() - began, absl::Milliseconds(1100));
}

TEST_F(SimulationTest, DeadlinesPassInVirtualTime) {
  Begin();
  sim_->network().Partition("a", "b");
  CallOptions waits{.timeout = absl::Minutes(3)};
  // Without wait_for_ready the call would end at the first failed dial, before its deadline.
  waits.wait_for_ready = true;
  EXPECT_EQ(Write("a", "b", 1, waits).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_GE(sim_->Now(), absl::Minutes(3));
  EXPECT_LT(sim_->Now(), absl::Minutes(3) + absl::Milliseconds(10));
}

TEST_F(SimulationTest, NothingMayWaitInside) {
  Begin();
  RegisterRead request;
  const absl::Status blocking = Stub("a", "b").Read(request).status();
  EXPECT_EQ(blocking.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(blocking.message()), HasSubstr("inside a simulation"));
  // A stream in the blocking style is refused as well.
  auto stream = Stub("a", "b").Watch(request);
  RegisterReply row;
  EXPECT_FALSE(stream.Read(&row));
  EXPECT_THAT(std::string(stream.Finish().message()), HasSubstr("simulation"));
}

TEST_F(SimulationTest, APartitionKeepsBytesUntilItIsHealed) {
  Begin();
  ASSERT_EQ(Write("a", "b", 1), absl::OkStatus());
  // The partition holds the answer, and not the call.
  sim_->network().PartitionOneWay("b", "a");
  std::optional<absl::Status> ended;
  RegisterWrite request;
  request.set_key("k");
  request.set_value(2);
  Stub("a", "b").WriteAsync(request, {.timeout = absl::Minutes(1)},
                            [&](absl::StatusOr<RegisterReply> reply) { ended = reply.status(); });
  sim_->RunFor(absl::Seconds(1));
  EXPECT_EQ(At("b")->values["k"], 2) << "there it got through";
  EXPECT_FALSE(ended.has_value());
  sim_->network().Heal("a", "b");
  sim_->RunFor(absl::Milliseconds(10));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(*ended, absl::OkStatus());
}

TEST_F(SimulationTest, ACutEndsCallsAtBothEnds) {
  Begin();
  ASSERT_EQ(Write("a", "b", 1), absl::OkStatus());
  std::optional<absl::Status> ended;
  Stub("a", "b").SlowAsync(RegisterRead(), {},
                           [&](absl::StatusOr<RegisterReply> reply) { ended = reply.status(); });
  sim_->RunFor(absl::Milliseconds(100));
  // The names stand the other way round than in the dial: a cut looks at the pair only.
  EXPECT_EQ(sim_->network().Cut("b", "a"), 1u);
  sim_->RunFor(absl::Milliseconds(1));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code(), absl::StatusCode::kUnavailable);
  // The pause before the next dial is over by then.
  sim_->RunFor(absl::Seconds(5));
  EXPECT_EQ(Write("a", "b", 2), absl::OkStatus());
}

TEST_F(SimulationTest, APausedNodeGoesOnWhereItWas) {
  Begin();
  ASSERT_EQ(Write("a", "b", 1), absl::OkStatus());
  sim_->Pause("b");
  EXPECT_EQ(Write("a", "b", 2, {.timeout = absl::Seconds(1)}).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(At("b")->values["k"], 1);
  sim_->Resume("b");
  EXPECT_EQ(Write("a", "b", 3), absl::OkStatus());
}

TEST_F(SimulationTest, AKilledNodeIsGoneAndComesBackEmpty) {
  Begin();
  ASSERT_EQ(Write("a", "b", 1), absl::OkStatus());
  // The node has connections in both directions, so accepted and dialled ones go with it.
  ASSERT_EQ(Write("b", "c", 1), absl::OkStatus());
  const absl::Duration at = sim_->Now();
  sim_->Kill("b");
  EXPECT_EQ(At("b"), nullptr);
  EXPECT_EQ(sim_->Now(), at) << "the others' time stood still";
  EXPECT_EQ(Write("a", "b", 2).code(), absl::StatusCode::kUnavailable);
  sim_->Restart("b");
  EXPECT_TRUE(At("b")->values.empty());
  sim_->RunFor(absl::Seconds(5));
  EXPECT_EQ(Write("a", "b", 3), absl::OkStatus());
  EXPECT_EQ(sim_->node("b").incarnation(), 2u);
}

TEST_F(SimulationTest, TheNewsOfADeathComesWhenThePartitionIsHealed) {
  Begin();
  ASSERT_EQ(Write("a", "b", 1), absl::OkStatus());
  std::optional<absl::Status> ended;
  Stub("a", "b").SlowAsync(RegisterRead(), {.timeout = absl::Minutes(3)},
                           [&](absl::StatusOr<RegisterReply> reply) { ended = reply.status(); });
  sim_->RunFor(absl::Milliseconds(100));
  sim_->network().Partition("a", "b");
  // The reset is on its way, and is held like all bytes.
  sim_->Kill("b");
  sim_->RunFor(absl::Seconds(1));
  EXPECT_FALSE(ended.has_value());
  sim_->network().HealAll();
  sim_->RunFor(absl::Milliseconds(10));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->code(), absl::StatusCode::kUnavailable);
}

TEST_F(SimulationTest, OfADeadMachineNothingIsHeard) {
  Begin();
  ASSERT_EQ(Write("a", "b", 1), absl::OkStatus());
  std::optional<absl::Status> ended;
  Stub("a", "b").SlowAsync(RegisterRead(), {.timeout = absl::Minutes(3)},
                           [&](absl::StatusOr<RegisterReply> reply) { ended = reply.status(); });
  sim_->RunFor(absl::Milliseconds(100));
  sim_->Kill("b", Death::kSilence);
  sim_->RunFor(absl::Seconds(1));
  EXPECT_FALSE(ended.has_value());
  ASSERT_TRUE(sim_->RunUntil([&] { return ended.has_value(); }, absl::Minutes(2)));
  EXPECT_EQ(ended->code(), absl::StatusCode::kUnavailable) << "its heartbeat went unanswered";
}

// Asks another node before it answers.
class Relay final : public Register::CoroService {
 public:
  explicit Relay(CallTarget& to) : stub_(to) {}
  Coro<absl::Status> Read(ServerContext&, RegisterRead& request, RegisterReply& reply) override {
    absl::StatusOr<RegisterReply> found = co_await stub_.ReadCoro(request);
    if (!found.ok()) co_return found.status();
    reply.set_value(found->value() + 1);
    co_return absl::OkStatus();
  }

 private:
  Register::Stub stub_;
};

struct RelayProgram {
  explicit RelayProgram(SimulatedNode& node, Authenticator authenticator) {
    ChannelOptions there;
    there.runtime = node.runtime();
    there.network = node.network();
    channel = *Channel::Create("inproc:b", std::move(there));
    service = std::make_unique<Relay>(*channel);
    ServerOptions options;
    options.runtime = node.runtime();
    options.network = node.network();
    options.authenticator = std::move(authenticator);
    server = std::make_unique<Server>(std::move(options));
    EXPECT_EQ(server->Register(*service), absl::OkStatus());
    EXPECT_EQ(server->Start(node.address()), absl::OkStatus());
    sockets = server->Start("127.0.0.1:0");
  }

  std::unique_ptr<Channel> channel;
  std::unique_ptr<Relay> service;
  std::unique_ptr<Server> server;
  absl::Status sockets;
};

TEST_F(SimulationTest, CoroutinesAndAuthenticatorsAreSteps) {
  Begin();
  At("b")->values["k"] = 41;
  int asked = 0;
  sim_->AddNode("relay", [&](SimulatedNode& node) {
    const auto program = std::make_shared<RelayProgram>(
        node, [&asked](std::string_view, const std::string& peer) -> absl::StatusOr<std::string> {
          ++asked;
          EXPECT_EQ(peer, "inproc:a#0");
          EXPECT_NE(internal::EventLoop::Current(), nullptr) << "it must not wait, either";
          return "somebody";
        });
    EXPECT_EQ(program->sockets.code(), absl::StatusCode::kFailedPrecondition) << program->sockets;
    return program;
  });
  RegisterRead request;
  request.set_key("k");
  std::optional<absl::StatusOr<RegisterReply>> ended;
  Stub("a", "relay").ReadAsync(request, {}, [&](absl::StatusOr<RegisterReply> reply) {
    ended = std::move(reply);
  });
  ASSERT_TRUE(sim_->RunUntil([&] { return ended.has_value(); }, absl::Minutes(1)));
  ASSERT_EQ(ended->status(), absl::OkStatus());
  EXPECT_EQ((*ended)->value(), 42);
  EXPECT_EQ(asked, 1);
}

TEST_F(SimulationTest, ThereAreNoSockets) {
  Begin();
  std::optional<absl::Status> ended;
  ChannelOptions options;
  options.runtime = sim_->node("a").runtime();
  const std::unique_ptr<Channel> channel = *Channel::Create("127.0.0.1:1", std::move(options));
  Register::Stub(*channel).ReadAsync(
      RegisterRead(), {}, [&](absl::StatusOr<RegisterReply> reply) { ended = reply.status(); });
  ASSERT_TRUE(sim_->RunUntil([&] { return ended.has_value(); }, absl::Minutes(1)));
  EXPECT_THAT(std::string(ended->message()), HasSubstr("has no sockets"));
}

TEST_F(SimulationTest, TheSeedThatFailsIsNamedWithACommand) {
  std::vector<uint64_t> run;
  const absl::Status result = Simulation::ForSeeds(5, 10, [&](uint64_t seed) {
    run.push_back(seed);
    return seed == 7 ? absl::DataLossError("a write is gone") : absl::OkStatus();
  });
  EXPECT_EQ(run, (std::vector<uint64_t>{5, 6, 7}));
  EXPECT_EQ(result.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(result.message()),
              AllOf(HasSubstr("seed 7: a write is gone"), HasSubstr("WEFT_SEED=7 "),
                    HasSubstr("tests_mesh")));
}

TEST_F(SimulationTest, TimersOfADeadProgramDoNotFire) {
  Begin();
  int fired = 0;
  sim_->node("a").After(absl::Seconds(1), [&] { ++fired; });
  sim_->node("b").After(absl::Seconds(1), [&] { ++fired; });
  sim_->Kill("a");
  sim_->node("a").After(absl::Seconds(1), [&] { ++fired; });
  sim_->RunFor(absl::Seconds(2));
  EXPECT_EQ(fired, 1);
}

TEST_F(SimulationTest, APausedNodesTimersWaitForIt) {
  Begin();
  absl::Duration at;
  sim_->node("a").After(absl::Seconds(1), [&] { at = sim_->Now(); });
  sim_->Pause("a");
  sim_->RunFor(absl::Seconds(5));
  EXPECT_EQ(at, absl::ZeroDuration());
  sim_->Resume("a");
  sim_->RunFor(absl::Seconds(1));
  EXPECT_EQ(at, absl::Seconds(5));
}

// ---- what a simulation refuses

class RefusalTest : public SimulationTest {
 protected:
  RefusalTest() {
    sim_ = std::make_unique<Simulation>(SimulationOptions{.log_sink = log_});
    for (const char* name : {"a", "b"}) {
      sim_->AddNode(name, [this](SimulatedNode&) {
        ++starts_;
        return std::make_shared<int>();
      });
    }
  }

  const std::shared_ptr<LogLines> log_ = std::make_shared<LogLines>();
  int starts_ = 0;
};

TEST_F(RefusalTest, ToRunInsideAStep) {
  int ran = 0;
  bool until = true, step = true;
  sim_->After(absl::Seconds(1), [&] {
    sim_->RunFor(absl::Seconds(10));
    until = sim_->RunUntil([] { return true; }, absl::Seconds(10));
    step = sim_->Step();
    ++ran;
  });
  // This runs inside the code of a node, whose name the log line gives.
  sim_->node("b").After(absl::Seconds(2), [&] { sim_->RunFor(absl::Seconds(10)); });
  sim_->RunFor(absl::Seconds(3));
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(until);
  EXPECT_FALSE(step);
  EXPECT_EQ(sim_->Now(), absl::Seconds(3));
  for (const char* said : {"RunFor inside a step", "RunUntil inside a step", "Step inside a step",
                           "RunFor inside the code of node b"}) {
    EXPECT_THAT(log_->Text(), HasSubstr(said));
  }
}

TEST_F(RefusalTest, ANodesEndInItsOwnStep) {
  sim_->node("a").After(absl::Seconds(1), [&] {
    sim_->Kill("a");
    sim_->Restart("a");
    sim_->Kill("b");  // of another node it may
  });
  sim_->RunFor(absl::Seconds(2));
  EXPECT_EQ(sim_->node("a").state(), SimulatedNode::State::kUp);
  EXPECT_EQ(sim_->node("a").incarnation(), 1u);
  EXPECT_EQ(sim_->node("b").state(), SimulatedNode::State::kDown);
  EXPECT_THAT(log_->Text(), HasSubstr("Kill of node a inside its own step"));
  EXPECT_THAT(log_->Text(), HasSubstr("Restart of node a inside its own step"));
}

TEST_F(RefusalTest, ANodesStartInsideItsDeathAndItsDeathInsideItsStart) {
  sim_->AddNode("c", [this](SimulatedNode&) {
    sim_->Kill("c");
    sim_->RunFor(absl::Seconds(1));
    // The program's own end tries to start the node again.
    return std::shared_ptr<void>(nullptr, [this](void*) { sim_->Restart("c"); });
  });
  EXPECT_EQ(sim_->node("c").state(), SimulatedNode::State::kUp);
  sim_->Kill("c");
  EXPECT_EQ(sim_->node("c").state(), SimulatedNode::State::kDown);
  EXPECT_EQ(sim_->node("c").incarnation(), 1u);
  EXPECT_EQ(sim_->Now(), absl::ZeroDuration());
  EXPECT_THAT(log_->Text(), HasSubstr("Restart of node c inside its own step, start"));
}

TEST_F(RefusalTest, NodesThatAreNotThereOrAreThereTwice) {
  sim_->Kill("nobody");
  sim_->Restart("nobody");
  sim_->Pause("nobody");
  sim_->Resume("nobody");
  EXPECT_THAT(log_->Text(), HasSubstr("Resume: there is no node nobody"));
  EXPECT_EQ(sim_->node("nobody").state(), SimulatedNode::State::kDown);
  sim_->node("nobody").After(absl::ZeroDuration(), [] { ADD_FAILURE() << "of nobody"; });
  EXPECT_EQ(&sim_->AddNode("a", nullptr), &sim_->node("a"));
  EXPECT_THAT(log_->Text(), HasSubstr("AddNode: there is a node a"));
  EXPECT_EQ(starts_, 2);
}

// Makes a run and returns all that it is made of, as a text.
std::string RunOf(uint64_t seed) {
  Simulation sim({.seed = seed});
  std::map<std::string, std::shared_ptr<Program>> programs;
  for (const char* name : {"a", "b", "c"}) {
    sim.AddNode(name, [&](SimulatedNode& node) {
      // The test must not keep the program alive: it ends with its node.
      auto program = std::make_shared<Program>(node);
      programs[node.name()] = std::shared_ptr<Program>(std::shared_ptr<Program>(), program.get());
      return program;
    });
  }
  int ended = 0;
  for (int i = 0; i < 30; ++i) {
    sim.After(absl::Milliseconds(sim.Random(500)), [&, i] {
      RegisterWrite request;
      request.set_key(absl::StrCat("k", i));
      // The map has twenty entries. If their order depended on addresses, the bytes would differ
      // from run to run.
      for (int n = 0; n < 20; ++n) (*request.mutable_notes())[absl::StrCat("note ", n)] = "text";
      const std::string from(1, static_cast<char>('a' + sim.Random(3)));
      const std::string to(1, static_cast<char>('a' + sim.Random(3)));
      Register::Stub(programs[from]->To(to))
          .WriteAsync(request, {.timeout = absl::Milliseconds(200)},
                      [&](absl::StatusOr<RegisterReply> reply) {
                        ++ended;
                        sim.trace().Note(absl::StatusCodeToString(reply.status().code()));
                      });
    });
  }
  sim.After(absl::Milliseconds(100), [&] { sim.network().PartitionOneWay("a", "b"); });
  sim.After(absl::Milliseconds(200), [&] { sim.network().Heal("a", "b"); });
  sim.After(absl::Milliseconds(250), [&] { sim.network().CutAll(); });
  sim.After(absl::Milliseconds(300), [&] { sim.Pause("b"); });
  sim.After(absl::Milliseconds(400), [&] { sim.Resume("b"); });
  sim.RunFor(absl::Seconds(30));
  EXPECT_EQ(ended, 30);
  return absl::StrCat(sim.trace().Text(), sim.steps(), " ", sim.trace().hash());
}

TEST_F(SimulationTest, TheSameSeedGivesTheSameRun) {
  const std::string one = RunOf(5);
  EXPECT_EQ(one, RunOf(5));
  EXPECT_NE(one, RunOf(6));
  // The trace must contain the events, since two empty traces would be equal.
  EXPECT_THAT(one, AllOf(HasSubstr("partition a>b"), HasSubstr("OK")));
}

}  // namespace
}  // namespace weft::test
