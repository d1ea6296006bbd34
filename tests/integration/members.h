// Servers in one process that broadcasts go to, over memory.
//
// Threads  the test's
// Owns     the servers, their services, and a channel to each
#ifndef WEFT_TESTS_INTEGRATION_MEMBERS_H_
#define WEFT_TESTS_INTEGRATION_MEMBERS_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/in_process_network.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/mesh/peer_set.h"

namespace weft::test {

// Writes as many rows as it is asked for, numbered from 0; then ends as `end` says.
class CountedRows final : public Rows::Service {
 public:
  std::function<absl::Status(ServerContext&)> end;
  Watched<int64_t> written{0};

  absl::Status Get(ServerContext&, RowQuery&, Row&) override { return absl::OkStatus(); }
  absl::Status List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override {
    Row row;
    for (int64_t i = 0; i < query.rows(); ++i) {
      row.set_number(i);
      if (!rows.Write(row)) break;
      written.Update([](int64_t& n) { ++n; });
    }
    return end ? end(call) : absl::OkStatus();
  }
};

// Members "b", "c" and so on, each a server with a channel to it; this one, "a", has none. The
// connection to member n is connection n of the network.
class Members final : public BroadcastTargets {
 public:
  explicit Members(int count, ChannelOptions channels = {})
      : network_(InProcessNetwork::Create()),
        runtime_(RuntimeOf({.io_threads = 2, .worker_threads = 32})) {
    channels.runtime = runtime_;
    channels.network = network_;
    // A connection that a test holds is silent on purpose, and must not be given up for it.
    channels.limits.heartbeat_interval = absl::ZeroDuration();
    auto set = std::make_shared<PeerSet>();
    for (int i = 0; i < count; ++i) {
      const std::string name(1, static_cast<char>('b' + i));
      auto& member = members_.emplace_back(std::make_unique<Member>());
      ServerOptions options;
      options.runtime = runtime_;
      options.network = network_;
      options.limits.heartbeat_interval = absl::ZeroDuration();
      member->server = std::make_unique<Server>(std::move(options));
      EXPECT_EQ(member->server->Register(member->service), absl::OkStatus());
      EXPECT_EQ(member->server->Register(member->rows), absl::OkStatus());
      EXPECT_EQ(member->server->Start(absl::StrCat("inproc:", name)), absl::OkStatus());
      member->channel = ChannelTo(absl::StrCat("inproc:", name), channels);
      const auto connected = [&] {
        EchoRequest request;
        EXPECT_EQ(EchoService::Stub(*member->channel).Echo(request).status(), absl::OkStatus());
      };
      connected();  // in order, so that connections have the members' numbers
      set->others.push_back({name, member->channel});
    }
    set->own_name = "a";
    set->is_member = true;
    set->loop = runtime_->loops().At(0).loop;
    set_ = std::move(set);
  }
  ~Members() override {
    for (auto& member : members_) {
      // Handlers that hang end first: the server's destructor waits for them.
      member->service.release.Notify();
      member->server.reset();
    }
  }
  std::shared_ptr<const PeerSet> Snapshot() const override { return set_; }

  HookedEcho& service(int i) { return members_[static_cast<size_t>(i)]->service; }
  CountedRows& rows(int i) { return members_[static_cast<size_t>(i)]->rows; }
  Channel& channel(int i) { return *members_[static_cast<size_t>(i)]->channel; }
  void Stop(int i) { members_[static_cast<size_t>(i)]->server.reset(); }
  InProcessNetwork& network() { return *network_; }
  Runtime& runtime() { return *runtime_; }
  size_t calls_under_way(int i) {
    size_t calls = 0;
    for (const ConnectionInfo& info : channel(i).connections()) calls += info.calls;
    return calls;
  }

 private:
  struct Member {
    HookedEcho service;
    CountedRows rows;
    std::unique_ptr<Server> server;
    std::shared_ptr<Channel> channel;
  };
  const std::shared_ptr<InProcessNetwork> network_;
  const std::shared_ptr<Runtime> runtime_;
  std::vector<std::unique_ptr<Member>> members_;
  std::shared_ptr<const PeerSet> set_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_INTEGRATION_MEMBERS_H_
