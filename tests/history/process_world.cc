#include "tests/history/process_world.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/history/call_kind.h"
#include "tests/history/session_limits.h"
#include "weft/core/random_bits.h"

namespace weft::test {

ProcessWorld::ProcessWorld(uint64_t seed, const std::string& ledger, size_t keys) : seed_(seed) {
  auto runtime = Runtime::Create({.io_threads = 2, .log_level = LogLevel::kOff});
  if (!runtime.ok()) std::abort();
  runtime_ = *std::move(runtime);
  for (size_t style = 0; style < kCallStyles; ++style) {
    proxies_.push_back(std::make_unique<CuttingProxy>(seed * 31 + style));
    servers_.push_back(std::make_unique<ServerProcess>(ledger, keys, style));
    proxies_[style]->SetServer(servers_[style]->Start());
  }
  for (size_t i = 0; i < kCallStyles * kChannelsToEach; ++i) {
    ChannelOptions options = HistoryChannelOptions(i / kCallStyles);
    options.runtime = runtime_;
    auto channel =
        Channel::Create(absl::StrCat("127.0.0.1:", proxies_[i % kCallStyles]->port()), options);
    if (!channel.ok()) std::abort();
    channels_.push_back(*std::move(channel));
  }
  trouble_ = std::thread([this] { MakeTrouble(); });
}

ProcessWorld::~ProcessWorld() { Settle(); }

void ProcessWorld::MakeTrouble() {
  uint64_t random = seed_ ^ 0x5EED;
  while (!settling_.load()) {
    std::this_thread::sleep_for(
        std::chrono::microseconds(internal::NextRandomBits(&random) % 30'000));
    Trouble(&random);
  }
}

void ProcessWorld::Trouble(uint64_t* random) {
  const auto below = [random](uint64_t n) { return internal::NextRandomBits(random) % n; };
  const size_t at = below(servers_.size());
  ServerProcess& server = *servers_[at];
  const uint64_t kind = below(10);
  if (kind < 4) {
    server.Kill();
    kills_.fetch_add(1);
    proxies_[at]->SetServer(server.Start());
  } else if (kind < 5) {
    framing_faults_ += server.Stop();
    stops_.fetch_add(1);
    proxies_[at]->SetServer(server.Start());
  } else if (kind < 9) {
    proxies_[at]->CutOne();
  } else {
    // The hold is long enough, at times, for heartbeats to miss the server.
    server.Hold();
    std::this_thread::sleep_for(std::chrono::microseconds(below(300'000)));
    server.Release();
    holds_.fetch_add(1);
  }
}

void ProcessWorld::Settle() {
  if (settling_.exchange(true)) return;
  trouble_.join();
  channels_.clear();
  for (const auto& server : servers_) framing_faults_ += server->Stop();
}

std::string ProcessWorld::Summary() const {
  CuttingProxy::Counts all;
  for (const auto& proxy : proxies_) {
    const CuttingProxy::Counts counts = proxy->counts();
    all.connections += counts.connections;
    all.cut += counts.cut;
    all.ended_one_way += counts.ended_one_way;
    all.silent += counts.silent;
  }
  return absl::StrCat(kills_.load(), " servers killed, ", stops_.load(), " stopped, ",
                      holds_.load(), " held; ", all.connections, " connections, ", all.cut,
                      " cut, ", all.ended_one_way, " ended one way, ", all.silent, " silent");
}

std::string ProcessWorld::Links() const {
  std::string text;
  for (size_t i = 0; i < channels_.size(); ++i) {
    absl::StrAppend(&text, LinksOf(absl::StrCat(i, " to server ", i % kCallStyles), *channels_[i]));
  }
  return text;
}

}  // namespace weft::test
