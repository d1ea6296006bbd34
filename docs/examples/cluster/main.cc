#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ring.weft.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"

class Greeter final : public ring::Greeter::Service {
 public:
  explicit Greeter(std::string name) : name_(std::move(name)) {}

  absl::Status Greet(weft::ServerContext&, ring::GreetRequest& request,
                     ring::GreetReply& reply) override {
    reply.set_text(absl::StrCat("hello ", request.name(), ", this is ", name_));
    return absl::OkStatus();
  }
  absl::Status GreetBack(weft::ServerContext& call, ring::GreetRequest&,
                         ring::GreetReply& reply) override {
    ring::GreetRequest request;
    request.set_name(name_);
    // The caller is a node here, so the call may take any connection to that node.
    absl::StatusOr<ring::GreetReply> said = ring::Greeter::Stub(*call.caller()).Greet(request);
    if (!said.ok()) return said.status();
    reply = *std::move(said);
    return absl::OkStatus();
  }

 private:
  const std::string name_;
};

// The peers that are up, as the events of one node say.
class Watch {
 public:
  weft::NodeListener Listener() {
    return [this](const weft::NodeEvent& event) {
      // Runs on an I/O thread, which must not wait: the listener only notes the state and wakes
      // main.
      if (event.kind != weft::NodeEvent::Kind::kPeer) return;
      const std::lock_guard lock(mu_);
      if (event.state == weft::PeerState::kUp) {
        up_.insert(event.peer);
      } else {
        // Every other state, also a suspect peer: the example shows only "up" and "not up".
        up_.erase(event.peer);
      }
      changed_.notify_all();
    };
  }
  void WaitUntil(const std::string& peer, bool up) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return up_.contains(peer) == up; });
    std::printf("a: %s is %s\n", peer.c_str(), up ? "up" : "not up");
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::set<std::string> up_;
};

struct Member {
  Member(const std::string& folder, const std::string& name, weft::NodeListener listener)
      : service(name) {
    // A membership for each node: one membership has one listener.
    auto given = weft::StaticMembers::Create({{"a", absl::StrCat("unix:", folder, "/a")},
                                              {"b", absl::StrCat("unix:", folder, "/b")},
                                              {"c", absl::StrCat("unix:", folder, "/c")}});
    if (!given.ok()) std::abort();
    members = *std::move(given);
    weft::NodeOptions options;
    options.name = name;
    // A node of another cluster is refused, though it may have a member's address.
    options.cluster = "ring";
    options.listen = {absl::StrCat("unix:", folder, "/", name)};
    options.members = members;
    options.on_event = std::move(listener);
    auto created = weft::Node::Create(std::move(options));
    if (!created.ok()) std::abort();
    node = *std::move(created);
    absl::Status status = node->Register(service);
    if (status.ok()) status = node->Start();
    if (!status.ok()) std::abort();
  }

  // Before the node, which calls it until the node's end.
  Greeter service;
  std::shared_ptr<weft::StaticMembers> members;
  std::unique_ptr<weft::Node> node;
};

std::string Greet(weft::Node& from, const std::string& to) {
  ring::GreetRequest request;
  request.set_name(from.name());
  // The target is the member and not a connection. To gives one for any name: an unknown one's
  // calls fail.
  const auto reply = ring::Greeter::Stub(from.To(to)).Greet(request);
  return reply.ok() ? reply->text() : absl::StatusCodeToString(reply.status().code());
}

int Failed(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

int main() {
  char path[] = "/tmp/weft-ring-XXXXXX";
  if (mkdtemp(path) == nullptr) return Failed(absl::ErrnoToStatus(errno, path));
  const std::string folder = path;
  Watch watch;
  auto a = std::make_unique<Member>(folder, "a", watch.Listener());
  auto b = std::make_unique<Member>(folder, "b", nullptr);
  auto c = std::make_unique<Member>(folder, "c", nullptr);
  for (const auto* member : {&a, &b, &c}) {
    // A call to a peer that is not up yet would wait for it; the output is to be the same each
    // time.
    const absl::Status status = (*member)->node->WaitUntilUp(weft::Want::All(), absl::Seconds(10));
    if (!status.ok()) return Failed(status);
  }
  // "a" is the node itself, and "d" no member: its call fails without a wait.
  for (const char* to : {"a", "b", "c", "d"}) {
    std::printf("%s\n", Greet(*a->node, to).c_str());
  }
  ring::Greeter::Stub stub(b->node->To("c"));
  const auto back = stub.GreetBack(ring::GreetRequest());
  if (!back.ok()) return Failed(back.status());
  std::printf("%s\n", back->text().c_str());

  for (const weft::PeerInfo& peer : a->node->peers()) {
    const std::string_view state = weft::PeerStates::Name(peer.state);
    std::printf("%s is %.*s, with %zu connection\n", peer.name.c_str(),
                static_cast<int>(state.size()), state.data(), peer.connections.size());
  }

  // Seen up before it goes: otherwise "not up" could be the time before it came.
  watch.WaitUntil("c", true);
  c = nullptr;
  watch.WaitUntil("c", false);
  c = std::make_unique<Member>(folder, "c", nullptr);
  watch.WaitUntil("c", true);
  std::printf("%s\n", Greet(*a->node, "c").c_str());

  const absl::Status left = a->members->Set(
      {{"a", absl::StrCat("unix:", folder, "/a")}, {"b", absl::StrCat("unix:", folder, "/b")}});
  if (!left.ok()) return Failed(left);
  watch.WaitUntil("c", false);
  std::printf("%s\n", Greet(*a->node, "c").c_str());
  std::printf("%s\n", Greet(*a->node, "b").c_str());
  // Before the folder goes, which has the nodes' sockets.
  for (auto* member : {&a, &b, &c}) *member = nullptr;
  std::filesystem::remove_all(folder);
  return 0;
}
