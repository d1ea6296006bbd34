#include "tests/history/unsteady_world.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/history/async_stream_service.h"
#include "tests/history/history_services.h"
#include "tests/history/session_limits.h"
#include "tests/history/stream_services.h"
#include "weft/core/random_bits.h"

namespace weft::test {
namespace {

// Ends the program with the error: a run cannot go on without what was to be made.
template <typename T>
T Must(absl::StatusOr<T> made) {
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.status().ToString().c_str());
    std::abort();
  }
  return *std::move(made);
}

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

}  // namespace

std::string UnsteadyWorld::AddressOf(size_t server) { return absl::StrCat("inproc:s", server); }

UnsteadyWorld::UnsteadyWorld(uint64_t seed, HistorySink& history, Targets targets) : seed_(seed) {
  const FaultMix mix{.refused = 0.03,
                     .cut = 0.3,
                     .dropped = 0.05,
                     .delayed = 0.3,
                     .partial_writes = 0.2,
                     .slow_reader = 0.05,
                     .bytes = 400'000,
                     .max_delay = absl::Milliseconds(2)};
  network_ = InProcessNetwork::Create({.buffer_bytes = 64 << 10, .faults = [seed, mix](uint64_t n) {
                                         return ConnectionFaults::Drawn(seed, n, mix);
                                       }});
  RuntimeOptions runtime{
      .io_threads = 2, .max_worker_threads = 16, .worker_queue = 100, .log_level = LogLevel::kOff};
  server_runtime_ = Must(Runtime::Create(runtime));
  if (targets == Targets::kSpread) runtime.io_threads = kServers;  // each link on a loop of its own
  client_runtime_ = Must(Runtime::Create(runtime));
  services_.push_back(std::make_unique<BlockingHistoryService>(history));
  services_.push_back(std::make_unique<AsyncHistoryService>(history));
  services_.push_back(std::make_unique<CoroHistoryService>(history));
  stream_services_.push_back(std::make_unique<BlockingStreamService>(history));
  stream_services_.push_back(std::make_unique<AsyncStreamService>(history));
  stream_services_.push_back(std::make_unique<CoroStreamService>(history));
  servers_.resize(kServers);
  for (size_t i = 0; i < kServers; ++i) StartServer(i);
  MakeTargets(targets);
  trouble_ = std::thread([this] { MakeTrouble(); });
}

void UnsteadyWorld::MakeTargets(Targets targets) {
  if (targets == Targets::kChannels) {
    for (size_t i = 0; i < kServers * kChannelsToEach; ++i) {
      channels_.push_back(Must(Channel::Create(AddressOf(i % kServers), OptionsOf(i / kServers))));
    }
    return;
  }
  std::vector<std::string> addresses;
  for (size_t i = 0; i < kServers; ++i) addresses.push_back(AddressOf(i));
  for (size_t kind = 0; kind < kChannelsToEach; ++kind) {
    const ChannelOptions channel = OptionsOf(kind);
    StartOptions starts;
    starts.retry = channel.retry;
    starts.hedging = channel.hedging;
    starts.retry_budget = channel.retry_budget;
    spread_.push_back(std::make_unique<SpreadTarget>(client_runtime_, addresses, channel, starts,
                                                     /*wants_reports=*/kind > 0));
  }
}

UnsteadyWorld::~UnsteadyWorld() { Settle(); }

// Each channel to a server offers it services of another style.
ChannelOptions UnsteadyWorld::OptionsOf(size_t kind) const {
  ChannelOptions options = HistoryChannelOptions(kind);
  options.runtime = client_runtime_;
  options.network = network_;
  options.services = {services_[kind].get(), stream_services_[kind].get()};
  return options;
}

void UnsteadyWorld::StartServer(size_t server) {
  servers_[server] = std::make_unique<Server>(
      ServerOptions{.runtime = server_runtime_, .network = network_, .limits = HistoryLimits()});
  Must(servers_[server]->Register(*services_[server]));
  Must(servers_[server]->Register(*stream_services_[server]));
  Must(servers_[server]->Start(AddressOf(server)));
}

void UnsteadyWorld::StopServer(size_t server, absl::Duration drain) {
  servers_[server]->Stop(drain);
  framing_faults_ += FramingFaultsOf(*servers_[server]);
  servers_[server].reset();
}

void UnsteadyWorld::MakeTrouble() {
  uint64_t random = seed_ ^ 0x5EED;
  while (!settling_.load()) {
    std::this_thread::sleep_for(
        std::chrono::microseconds(internal::NextRandomBits(&random) % 20'000));
    Trouble(&random);
  }
}

void UnsteadyWorld::Trouble(uint64_t* random) {
  const auto below = [random](uint64_t n) { return internal::NextRandomBits(random) % n; };
  const std::vector<uint64_t> open = network_->connections();
  const uint64_t connection = open.empty() ? 0 : open[below(open.size())];
  const uint64_t kind = below(10);
  if (kind < 2) {
    const size_t server = below(kServers);
    StopServer(server, absl::Microseconds(static_cast<int64_t>(below(5'000))));
    std::this_thread::sleep_for(std::chrono::microseconds(below(5'000)));
    StartServer(server);
    restarts_.fetch_add(1);
  } else if (kind < 6) {
    cuts_.fetch_add(network_->Cut(connection) ? 1 : 0);
  } else if (kind < 7) {
    const ConnectionFaults pulled{.to_listener = {.drop_from = below(200)},
                                  .to_dialer = {.drop_from = below(200)}};
    pulls_.fetch_add(network_->Change(connection, pulled) ? 1 : 0);
  } else {
    if (!network_->Hold(connection)) return;
    std::this_thread::sleep_for(std::chrono::microseconds(below(10'000)));
    network_->Release(connection);
    holds_.fetch_add(1);
  }
}

void UnsteadyWorld::Settle() {
  if (settling_.exchange(true)) return;
  trouble_.join();
  channels_.clear();
  spread_.clear();
  for (size_t i = 0; i < kServers; ++i) StopServer(i, absl::Seconds(1));
}

std::string UnsteadyWorld::Summary() const {
  return absl::StrCat(network_->dialled(), " connections, ", cuts_.load(), " cut, ", pulls_.load(),
                      " pulled, ", holds_.load(), " held, ", restarts_.load(), " server restarts");
}

std::string UnsteadyWorld::Links() const {
  std::string text;
  for (size_t kind = 0; kind < spread_.size(); ++kind) {
    for (const auto& connection : spread_[kind]->source().connections()) {
      absl::StrAppend(&text, "spread ", kind, " to ", connection->target(), ": ",
                      connection->connects(), " connects, ", connection->failed_connects(),
                      " failed\n");
    }
  }
  for (size_t i = 0; i < channels_.size(); ++i) {
    absl::StrAppend(&text,
                    LinksOf(absl::StrCat(i, " to ", AddressOf(i % kServers)), *channels_[i]));
  }
  return text;
}

}  // namespace weft::test
