// Nodes of one process that are a cluster, over memory or over unix sockets.
//
// Threads  the test's
// Owns     the nodes, their services and their membership
#ifndef WEFT_TESTS_MESH_CLUSTER_H_
#define WEFT_TESTS_MESH_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/integration/stack.h"
#include "weft/core/in_process_network.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"

namespace weft::test {

class Cluster {
 public:
  // Node number i is called "a", "b", …; `tune` may change its options before it is made.
  explicit Cluster(int size, std::function<void(int, NodeOptions&)> tune = nullptr)
      : tune_(std::move(tune)) {
    for (int i = 0; i < size; ++i) {
      names_.emplace_back(1, static_cast<char>('a' + i));
      nodes_.emplace_back();
      services_.push_back(std::make_unique<HookedEcho>());
      events_.push_back(std::make_unique<Watched<std::vector<NodeEvent>>>());
      services_.back()->echo = [name = names_.back()](ServerContext&, EchoRequest& request,
                                                      EchoReply& reply) {
        reply.set_text(absl::StrCat(name, ":", request.text()));
        return absl::OkStatus();
      };
    }
  }
  ~Cluster() {
    for (auto& node : nodes_) node = nullptr;
  }

  std::string AddressOf(int i) const { return absl::StrCat("inproc:", names_[i]); }
  std::vector<Member> Members() const {
    std::vector<Member> members;
    for (size_t i = 0; i < names_.size(); ++i) {
      members.push_back({names_[i], AddressOf(static_cast<int>(i))});
    }
    return members;
  }
  NodeOptions OptionsOf(int i) {
    NodeOptions options;
    options.name = names_[i];
    options.cluster = "test";
    options.listen = {AddressOf(i)};
    options.server.network = network_;
    options.server.io_threads = 2;
    options.server.worker_threads = 2;
    members_.resize(names_.size());
    options.members = members_[i] = *StaticMembers::Create(Members());
    options.on_event = [events = events_[i].get()](const NodeEvent& event) {
      events->Update([&](std::vector<NodeEvent>& all) { all.push_back(event); });
    };
    if (tune_ != nullptr) tune_(i, options);
    return options;
  }
  // Creates node i without starting it.
  absl::Status Prepare(int i) {
    absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(OptionsOf(i));
    if (!node.ok()) return node.status();
    nodes_[i] = *std::move(node);
    return nodes_[i]->Register(*services_[i]);
  }
  absl::Status Start(int i) {
    absl::Status s = Prepare(i);
    return s.ok() ? nodes_[i]->Start() : s;
  }
  void StartAll() {
    for (size_t i = 0; i < names_.size(); ++i) {
      ASSERT_EQ(Start(static_cast<int>(i)).ToString(), "OK");
    }
    for (auto& node : nodes_) {
      ASSERT_EQ(node->WaitUntilUp(Want::All(), absl::Seconds(30)).ToString(), "OK");
    }
  }
  void Kill(int i) { nodes_[i] = nullptr; }

  StaticMembers& members(int i) { return *members_[i]; }
  // Waits for an event of this kind about that peer, and returns its text. "none": no such event
  // has come.
  std::string EventOf(int i, NodeEvent::Kind kind, const std::string& peer) {
    std::string text = "none";
    (void)events_[i]->WaitFor([&](const std::vector<NodeEvent>& all) {
      for (const NodeEvent& event : all) {
        if (event.kind == kind && event.peer == peer) text = event.why.ToString();
      }
      return text != "none";
    });
    return text;
  }
  std::vector<NodeEvent> events(int i) const { return events_[i]->Get(); }
  // Waits until the peer is in that state, and returns the reason for the state.
  std::string WhyIn(int i, const std::string& peer, PeerState state) {
    std::string why = "never";
    (void)PollUntil([&] {
      for (const PeerInfo& info : nodes_[i]->peers()) {
        if (info.name == peer && info.state == state) why = info.why.ToString();
      }
      return why != "never";
    });
    return why;
  }
  Node& operator[](int i) { return *nodes_[i]; }
  HookedEcho& service(int i) { return *services_[i]; }
  const std::string& name(int i) const { return names_[i]; }
  InProcessNetwork& network() { return *network_; }
  int size() const { return static_cast<int>(names_.size()); }

 private:
  const std::function<void(int, NodeOptions&)> tune_;
  const std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create();
  std::vector<std::string> names_;
  std::vector<std::unique_ptr<HookedEcho>> services_;
  std::vector<std::shared_ptr<StaticMembers>> members_;
  std::vector<std::unique_ptr<Watched<std::vector<NodeEvent>>>> events_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_MESH_CLUSTER_H_
