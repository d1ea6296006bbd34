#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kv.weft.h"
#include "weft/core/in_process_network.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/broadcast.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"

// Keeps the newest value of each key.
class Store final : public kv::Kv::Service {
 public:
  absl::Status Put(weft::ServerContext&, kv::PutRequest& request, kv::PutReply&) override {
    std::lock_guard<std::mutex> lock(mu_);
    // A new key begins with version 0, below every write's.
    kv::GetReply& kept = kept_[request.key()];
    // An older write may arrive later, by another way.
    if (request.version() > kept.version()) {
      kept.set_value(request.value());
      kept.set_version(request.version());
    }
    return absl::OkStatus();
  }
  absl::Status Get(weft::ServerContext&, kv::GetRequest& request, kv::GetReply& reply) override {
    std::lock_guard<std::mutex> lock(mu_);
    reply = kept_[request.key()];
    return absl::OkStatus();
  }

 private:
  std::mutex mu_;
  std::map<std::string, kv::GetReply> kept_;
};

struct Cluster {
  Cluster() {
    auto network = weft::InProcessNetwork::Create();
    for (const char* name : {"a", "b", "c"}) {
      // Each node has a membership of its own.
      auto members =
          weft::StaticMembers::Create({{"a", "inproc:a"}, {"b", "inproc:b"}, {"c", "inproc:c"}});
      weft::NodeOptions options;
      options.name = name;
      options.listen = {std::string("inproc:") + name};
      options.members = *members;
      options.server.network = network;
      auto node = weft::Node::Create(std::move(options));
      absl::Status status = node.ok() ? (*node)->Register(stores.emplace_back()) : node.status();
      if (status.ok()) status = (*node)->Start();
      if (!status.ok()) std::printf("%s\n", status.ToString().c_str());
      nodes.push_back(*std::move(node));
    }
    for (auto& node : nodes) {
      // Calls would wait for peers by themselves; Ask's output is to be the same each time.
      (void)node->WaitUntilUp(weft::Want::All(), absl::Seconds(10));
    }
  }

  std::deque<Store> stores;  // outlive the nodes
  std::vector<std::unique_ptr<weft::Node>> nodes;
};

void Put(weft::Node& node, const std::string& value, int64_t version) {
  kv::PutRequest request;
  request.set_key("colour");
  request.set_value(value);
  request.set_version(version);
  // kCall: this node's own copy is written by the broadcast, like the others'.
  const auto result = weft::Broadcast(node, kv::Kv::kPut, request,
                                      {.want = weft::Want::Majority(), .self = weft::Self::kCall});
  std::printf("put %s: %s\n", value.c_str(), result.status.ok() ? "at a majority" : "failed");
}

void Get(weft::Node& node) {
  kv::GetRequest request;
  request.set_key("colour");
  // A majority read and a majority write share a node, so the newest reply has the last write.
  weft::Newest<kv::GetReply, int64_t> newest([](const kv::GetReply& r) { return r.version(); });
  const auto result =
      weft::Broadcast(node, kv::Kv::kGet, request,
                      {.want = weft::Want::Majority(), .self = weft::Self::kCall}, newest);
  if (const kv::GetReply* reply = newest.In(result)) {
    std::printf("get: %s\n", reply->value().c_str());
  }
}

void Ask(weft::Node& node) {
  kv::GetRequest request;
  request.set_key("colour");
  weft::BroadcastCall<kv::GetReply> call = weft::BroadcastStart(
      node, kv::Kv::kGet, request, {.want = weft::Want::Each(), .self = weft::Self::kCall});
  std::map<std::string, std::string> said;  // by name: they come in any order
  weft::PeerReply<kv::GetReply> one;
  // Want::Each waits for every member's end, so an error is an item, too.
  while (call.Next(&one)) {
    said[one.name] = one.reply.ok() ? "version " + std::to_string(one.reply->version())
                                    : weft::StatusCodeName(one.reply.status().code());
  }
  for (const auto& [name, text] : said) std::printf("%s: %s\n", name.c_str(), text.c_str());
  std::printf("%d of %d\n", call.Finish().ok, node.Snapshot()->members());
}

int main() {
  Cluster cluster;
  weft::Node& a = *cluster.nodes[0];
  Put(a, "red", 1);
  // Two of three are a majority still; after the next Stop there is none.
  cluster.nodes[2]->Stop(absl::ZeroDuration());
  Put(a, "green", 2);
  Get(a);
  Ask(a);
  cluster.nodes[1]->Stop(absl::ZeroDuration());
  Put(a, "blue", 3);
  return 0;
}
