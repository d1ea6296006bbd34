// Nodes of the store in one process, over memory.
#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "ledger.h"
#include "load.h"
#include "read_back.h"
#include "store_node.h"
#include "weft/core/in_process_network.h"
#include "weft/core/in_process_tap.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/mesh/static_members.h"

namespace weft::examples::kv {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Seconds(60);

// Cuts one host off from all others, in both directions.
class Isolation final : public InProcessTap {
 public:
  void Isolate(const std::string& host) {
    const std::lock_guard lock(mu_);
    host_ = host;
  }
  bool Separates(const InProcessRoute& route) const {
    const std::lock_guard lock(mu_);
    const auto alone = [this](const std::string& host) { return !host.empty() && host == host_; };
    // Clients are not hosts, and reach every node.
    return !route.from.empty() && !route.to.empty() && alone(route.from) != alone(route.to);
  }

  Dialled OnDial(const InProcessRoute& route, ConnectionFaults*) override {
    return Separates(route) ? Dialled::kSilence : Dialled::kConnects;
  }
  void OnBytes(const InProcessRoute&, bool, const iovec*, size_t, bool) override {}
  void OnClose(const InProcessRoute&, bool) override {}

 private:
  mutable std::mutex mu_;
  std::string host_;
};

// Three nodes over memory. A node that is killed is destroyed with all it remembers; one that is
// isolated lives on, and hears nothing.
class StoreTest : public ::testing::Test {
 protected:
  enum class As { kFirst, kReturned, kForgetful };

  absl::Duration heartbeat_ = absl::Seconds(1);

  void Start(const std::string& name, As as) {
    StoreNodeOptions options;
    options.node.name = name;
    options.node.cluster = "kv";
    options.node.listen = {absl::StrCat("inproc:", name)};
    options.node.members =
        *StaticMembers::Create({{"a", "inproc:a"}, {"b", "inproc:b"}, {"c", "inproc:c"}});
    options.node.server.network = network_->For(name);
    options.node.heartbeat = heartbeat_;
    // Handlers block while they call other nodes: with few threads three nodes could wait for one
    // another.
    options.node.server.worker_threads = 16;
    // Kill must not wait for calls: a process that dies does not.
    options.node.server.drain = absl::ZeroDuration();
    options.node.calls.max_backoff = absl::Milliseconds(20);
    options.first = as == As::kFirst;
    options.forgetful = as == As::kForgetful;
    auto node = StoreNode::Start(std::move(options));
    ASSERT_EQ(node.status().ToString(), "OK");
    Slot(name) = *std::move(node);
  }
  void StartAll(As as) {
    for (const char* name : {"a", "b", "c"}) Start(name, as);
    for (const char* name : {"a", "b", "c"}) {
      // Until all see all: a test that begins before finds no majority by chance.
      while (StatusOf(name).up_size() < 2) std::this_thread::yield();
    }
  }
  std::shared_ptr<InProcessNetwork> network() { return network_; }
  void Isolate(const std::string& name) {
    // First no new connections, then those that are there: so none slips through between.
    isolation_->Isolate(name);
    for (const InProcessRoute& route : network_->routes()) {
      if (isolation_->Separates(route)) network_->Hold(route.connection);
    }
  }
  void Heal() {
    isolation_->Isolate("");
    for (const InProcessRoute& route : network_->routes()) network_->Release(route.connection);
  }
  // One client for each node.
  std::vector<Store::Stub> Clients() {
    std::vector<Store::Stub> stores;
    for (const char* name : {"a", "b", "c"}) {
      ChannelOptions options;
      options.network = network_;
      options.max_backoff = absl::Milliseconds(20);
      auto channel = Channel::Create(absl::StrCat("inproc:", name), std::move(options));
      EXPECT_EQ(channel.status().ToString(), "OK");
      channels_.push_back(*std::move(channel));
      stores.emplace_back(*channels_.back());
    }
    return stores;
  }
  void Kill(const std::string& name) { Slot(name) = nullptr; }
  Node& At(const std::string& name) { return Slot(name)->node(); }
  void WaitUntilUp(const std::string& name, int members) {
    ASSERT_EQ(At(name).WaitUntilUp(Want::AtLeast(members), kPatience).ToString(), "OK");
  }
  StatusReply StatusOf(const std::string& name) {
    return Store::Stub(*At(name).To(name)).Status(StatusRequest()).value_or(StatusReply());
  }
  void WaitUntilWhole(const std::string& name) {
    while (StatusOf(name).memory() != "whole") std::this_thread::yield();
  }

  absl::Status Write(const std::string& node, const std::string& key, const std::string& value) {
    WriteRequest request;
    request.set_key(key);
    request.set_value(value);
    return Store::Stub(*At(node).To(node)).Write(request).status();
  }
  // Returns the value, or the error's code.
  std::string Read(const std::string& node, const std::string& key) {
    ReadRequest request;
    request.set_key(key);
    const auto reply = Store::Stub(*At(node).To(node)).Read(request);
    return reply.ok() ? reply->entry().value() : absl::StatusCodeToString(reply.status().code());
  }
  // Asks one node for its own copy.
  absl::StatusOr<GetReply> CopyAt(const std::string& node, const std::string& key) {
    GetRequest request;
    request.set_key(key);
    return Replica::Stub(*At(node).To(node)).Get(request);
  }
  // Puts an entry of another writer into the copy of one node.
  absl::Status PutAt(const std::string& node, const std::string& key, uint64_t number,
                     bool only_if_newest = false) {
    PutRequest request;
    Entry& entry = *request.add_entries();
    entry.set_key(key);
    entry.set_value(absl::StrCat("number ", number));
    entry.mutable_version()->set_number(number);
    entry.mutable_version()->set_writer("z");
    request.set_behind(true);  // its answer is not counted
    request.set_only_if_newest(only_if_newest);
    return Replica::Stub(*At(node).To(node)).Put(request).status();
  }

 private:
  std::unique_ptr<StoreNode>& Slot(const std::string& name) {
    return nodes_[static_cast<size_t>(name[0] - 'a')];
  }

  const std::shared_ptr<Isolation> isolation_ = std::make_shared<Isolation>();
  const std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create({.tap = isolation_});
  std::vector<std::unique_ptr<Channel>> channels_;
  std::array<std::unique_ptr<StoreNode>, 3> nodes_;
};

TEST_F(StoreTest, WhatIsWrittenByOneNodeIsReadByEach) {
  StartAll(As::kFirst);
  for (const char* writer : {"a", "b", "c"}) {
    ASSERT_EQ(Write(writer, "k", absl::StrCat("by ", writer)).ToString(), "OK");
    for (const char* reader : {"a", "b", "c"}) {
      EXPECT_EQ(Read(reader, "k"), absl::StrCat("by ", writer));
    }
  }
  EXPECT_EQ(Read("a", "never"), "NOT_FOUND");
  // The leader led all writes, in one round each.
  EXPECT_EQ(StatusOf("a").writes_in_one_round(), 3);
}

TEST_F(StoreTest, WithoutTheLeaderTheNextOneLeads) {
  StartAll(As::kFirst);
  ASSERT_EQ(Write("c", "k", "1").ToString(), "OK");
  Kill("a");
  while (StatusOf("c").leader() != "b" || StatusOf("b").leader() != "b") std::this_thread::yield();
  ASSERT_EQ(Write("c", "k", "2").ToString(), "OK");
  EXPECT_EQ(Read("b", "k"), "2");
  EXPECT_EQ(StatusOf("b").writes_in_one_round(), 1);
}

TEST_F(StoreTest, AMajorityIsOneOfTheMembersNotOfThoseThatAreUp) {
  StartAll(As::kFirst);
  Kill("b");
  Kill("c");
  EXPECT_EQ(Write("a", "k", "1").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Read("a", "k"), "UNAVAILABLE");
}

TEST_F(StoreTest, ALeaderThatDoesNotKnowTheNewestVersionIsRefused) {
  StartAll(As::kForgetful);  // without streams, which would tell it
  ASSERT_EQ(PutAt("b", "k", 7).ToString(), "OK");
  ASSERT_EQ(PutAt("c", "k", 7).ToString(), "OK");
  EXPECT_EQ(Write("a", "k", "mine").code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Read("a", "k"), "number 7");
  // The refused leader has learned the version.
  ASSERT_EQ(Write("a", "k", "mine").ToString(), "OK");
  EXPECT_EQ(Read("c", "k"), "mine");
}

TEST_F(StoreTest, OnlyIfNewestRefusesTheOlderAndTakesTheSameTwice) {
  Start("a", As::kFirst);
  ASSERT_EQ(PutAt("a", "k", 7, true).ToString(), "OK");
  // A repeated call, whose first answer was lost, must not be told that the entry is old.
  EXPECT_EQ(PutAt("a", "k", 7, true).ToString(), "OK");
  EXPECT_EQ(PutAt("a", "k", 6, true).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(CopyAt("a", "k")->entry().value(), "number 7");
}

TEST_F(StoreTest, WhatAReadHasFoundStandsAtAMajority) {
  StartAll(As::kForgetful);
  Kill("c");
  ASSERT_EQ(PutAt("a", "k", 7).ToString(), "OK");
  EXPECT_EQ(Read("a", "k"), "number 7");
  EXPECT_EQ(StatusOf("a").reads_written_back(), 1);
  EXPECT_EQ(CopyAt("b", "k")->entry().value(), "number 7");
  EXPECT_EQ(Read("a", "k"), "number 7");
  // Both copies are equal now: there was nothing to write back.
  EXPECT_EQ(StatusOf("a").reads_written_back(), 1);
}

TEST_F(StoreTest, ANodeThatLostItsMemoryHasItBackFromTheOthers) {
  StartAll(As::kFirst);
  for (int i = 0; i < 600; ++i) {  // more than one piece of a stream
    ASSERT_EQ(Write("b", absl::StrCat("k", i), absl::StrCat(i)).ToString(), "OK");
  }
  Kill("a");
  Start("a", As::kReturned);
  WaitUntilWhole("a");
  EXPECT_EQ(StatusOf("a").keys(), 600);
  EXPECT_EQ(CopyAt("a", "k599")->entry().value(), "599");
}

TEST_F(StoreTest, MissedWritesAreRepaired) {
  StartAll(As::kFirst);
  Kill("c");
  ASSERT_EQ(Write("a", "k", "1").ToString(), "OK");
  // kFirst: c takes itself for whole, so that only the others' streams bring it the write.
  Start("c", As::kFirst);
  while (CopyAt("c", "k")->entry().value() != "1") std::this_thread::yield();
  ASSERT_EQ(PutAt("a", "k", 9).ToString(), "OK");  // and again, while all are up
  while (CopyAt("c", "k")->entry().value() != "number 9") std::this_thread::yield();
}

TEST_F(StoreTest, ClientsLoseNothingWhileTheLeaderMoves) {
  StartAll(As::kFirst);
  const std::vector<Store::Stub> stores = Clients();
  Ledger ledger;
  Load load(stores, ledger);
  const auto wait_for_writes = [&] {
    const int64_t enough = ledger.acknowledged() + 100;
    while (ledger.acknowledged() < enough) std::this_thread::yield();
  };
  load.Start();
  for (const char* victim : {"a", "b", "a"}) {
    wait_for_writes();
    Kill(victim);
    wait_for_writes();
    Start(victim, As::kReturned);
    WaitUntilWhole(victim);
  }
  wait_for_writes();
  load.Stop();
  const ReadBack back = ReadBack::Of(ledger, stores);
  EXPECT_EQ(back.lost, 0);
  EXPECT_EQ(back.unread, 0) << back.first_error;
  EXPECT_EQ(load.stale(), 0);
}

TEST_F(StoreTest, Case25ALeaderThatIsCutOffLeadsNobodyAndNoWriteIsLost) {
  // Nothing else tells a that it is cut off: it steps down, and the others go on, by heartbeats.
  heartbeat_ = absl::Milliseconds(100);
  StartAll(As::kFirst);
  const std::vector<Store::Stub> stores = Clients();
  Ledger ledger;
  Load load(stores, ledger);
  const auto wait_for_writes = [&] {
    const int64_t enough = ledger.acknowledged() + 100;
    while (ledger.acknowledged() < enough) std::this_thread::yield();
  };
  const auto wait_for_leaders = [&](const char* of_a, const char* of_others) {
    while (StatusOf("a").leader() != of_a || StatusOf("b").leader() != of_others ||
           StatusOf("c").leader() != of_others) {
      std::this_thread::yield();
    }
  };
  wait_for_leaders("a", "a");
  load.Start();
  wait_for_writes();
  Isolate("a");
  wait_for_leaders("", "b");
  wait_for_writes();
  // Clients still reach a. It must not acknowledge anything alone, nor answer from its own copy.
  EXPECT_EQ(Write("a", "alone", "1").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Read("a", "alone"), "UNAVAILABLE");
  Heal();
  wait_for_leaders("a", "a");
  wait_for_writes();
  load.Stop();
  const ReadBack back = ReadBack::Of(ledger, stores);
  EXPECT_EQ(back.lost, 0);
  EXPECT_EQ(back.unread, 0) << back.first_error;
  EXPECT_EQ(load.stale(), 0);
}

// a and b have acknowledged a write that c has not seen. Then a loses its memory, and b dies before
// a can ask it.
class LossTest : public StoreTest {
 protected:
  void LoseMemoryOfA(As as) {
    Start("a", As::kFirst);
    Start("b", As::kFirst);
    WaitUntilUp("a", 2);
    WaitUntilUp("b", 2);
    absl::Status written = Write("a", "k", "1");
    for (int i = 0; !written.ok() && i < 100; ++i) written = Write("a", "k", "1");
    ASSERT_EQ(written.ToString(), "OK");
    Kill("a");
    Kill("b");
    Start("c", As::kFirst);
    Start("a", as);
    WaitUntilUp("a", 2);
    WaitUntilUp("c", 2);
  }
};

TEST_F(LossTest, Case26ANodeWithoutItsMemoryAnswersNothingUntilItHasEnoughOfTheOthers) {
  LoseMemoryOfA(As::kReturned);
  while (StatusOf("a").memory() == "lost") std::this_thread::yield();
  ASSERT_EQ(StatusOf("a").memory(), "merging");  // it has c's
  EXPECT_EQ(Read("a", "k"), "FAILED_PRECONDITION");
  EXPECT_EQ(Write("a", "k", "2").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Write("a", "k", "2").message(), HasSubstr("has merged that of 1 others; it needs 2"));
  EXPECT_EQ(CopyAt("a", "k").status().code(), absl::StatusCode::kUnavailable);
  // c does not answer with a's help, either.
  EXPECT_EQ(Read("c", "k"), "UNAVAILABLE");
  // The read and both writes. CopyAt is a call between nodes, which is not counted.
  EXPECT_EQ(StatusOf("a").refused(), 3);
}

TEST_F(LossTest, Case26WithoutThatRuleTheWriteWouldBeLost) {
  LoseMemoryOfA(As::kForgetful);
  EXPECT_EQ(Read("c", "k"), "NOT_FOUND");
}

TEST_F(LossTest, WhatComesIsTakenAndNotCounted) {
  LoseMemoryOfA(As::kReturned);
  EXPECT_EQ(PutAt("a", "new", 1).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(StatusOf("a").keys(), 1);
}

TEST_F(StoreTest, AWriteThatCountsOnAnEarlierLifeIsRefused) {
  Start("a", As::kFirst);
  PutRequest request;
  Entry& entry = *request.add_entries();
  entry.set_key("k");
  entry.mutable_version()->set_number(1);
  Life& life = *request.add_lives();
  life.set_node("a");
  life.set_life(At("a").incarnation() - 1);
  Replica::Stub a(At("a").To("a"));
  EXPECT_EQ(a.Put(request).status().code(), absl::StatusCode::kFailedPrecondition);
  life.set_life(At("a").incarnation());
  EXPECT_EQ(a.Put(request).status().ToString(), "OK");
  // b has pulled everything from a. From now on b's earlier life must not be counted together with
  // a.
  PullRequest pull;
  pull.mutable_from()->set_node("b");
  pull.mutable_from()->set_life(5);
  auto stream = a.Pull(pull);
  PullReply piece;
  while (stream.Read(&piece)) EXPECT_EQ(piece.entries_size(), 1);
  ASSERT_EQ(stream.Finish().ToString(), "OK");
  EXPECT_EQ(a.Put(request).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(StoreTest, FewerThanThreeMembersAreNoStore) {
  StoreNodeOptions options;
  options.node.name = "a";
  options.members = 2;
  EXPECT_EQ(StoreNode::Start(std::move(options)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weft::examples::kv
