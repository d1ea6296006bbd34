// A node of the store: kv_node --name a --members a=unix:/tmp/x/a,b=unix:/tmp/x/b,c=unix:/tmp/x/c
//
//   --first      the cluster begins: no member has had a memory before
//   --no-quorum  answers writes before it sends them to the others
//   --forgetful  a planted fault: ignores that it has lost its memory
//
// Serves until SIGTERM or SIGINT.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "store_node.h"
#include "weft/rpc/mesh/static_members.h"

namespace {

[[noreturn]] void Fail(std::string_view what) {
  std::fprintf(stderr, "kv_node: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

std::vector<weft::Member> MembersOf(const std::string& text) {
  std::vector<weft::Member> members;
  for (const absl::string_view each : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(each, absl::MaxSplits('=', 1));
    members.push_back({parts.first, parts.second});
  }
  return members;
}

weft::examples::kv::StoreNodeOptions OptionsOf(int argc, char** argv) {
  weft::examples::kv::StoreNodeOptions options;
  std::vector<weft::Member> members;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--first") {
      options.first = true;
    } else if (name == "--no-quorum") {
      options.no_quorum = true;
    } else if (name == "--forgetful") {
      options.forgetful = true;
    } else if (name == "--name" && i + 1 < argc) {
      options.node.name = argv[++i];
    } else if (name == "--members" && i + 1 < argc) {
      members = MembersOf(argv[++i]);
    } else {
      Fail(absl::StrCat("does not understand ", argv[i]));
    }
  }
  for (const weft::Member& member : members) {
    if (member.name == options.node.name) options.node.listen = {member.address};
  }
  options.members = static_cast<int>(members.size());
  auto membership = weft::StaticMembers::Create(std::move(members));
  if (!membership.ok()) Fail(membership.status().ToString());
  options.node.members = *std::move(membership);
  options.node.cluster = "kv";
  // Each write blocks one of these threads until its quorum has answered.
  options.node.server.worker_threads = 24;
  // Dial again soon: a killed node returns within seconds.
  options.node.calls.max_backoff = absl::Milliseconds(250);
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  // Signals blocked before the first thread starts are blocked in all threads, so that sigwait gets
  // them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto node = weft::examples::kv::StoreNode::Start(OptionsOf(argc, argv));
  if (!node.ok()) Fail(node.status().ToString());
  int signal = 0;
  sigwait(&signals, &signal);
  return 0;
}
