// Servers that come and go, channels to them, and a network that breaks: where a history happens.
// Instead of channels there may be targets that each spread their calls over all servers.
//
// Threads  as CallWorld. Its own thread makes the trouble
// Owns     all of it; the history outlives it
#ifndef WEFT_TESTS_HISTORY_UNSTEADY_WORLD_H_
#define WEFT_TESTS_HISTORY_UNSTEADY_WORLD_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/history/call_history.h"
#include "tests/history/call_world.h"
#include "tests/support/spread_target.h"
#include "weft/core/in_process_network.h"
#include "weft/core/runtime.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft::test {

class UnsteadyWorld final : public CallWorld {
 public:
  enum class Targets : uint8_t { kChannels, kSpread };

  UnsteadyWorld(uint64_t seed, HistorySink& history, Targets targets = Targets::kChannels);
  ~UnsteadyWorld() override;
  UnsteadyWorld(const UnsteadyWorld&) = delete;
  UnsteadyWorld& operator=(const UnsteadyWorld&) = delete;

  CallTarget& target(size_t n) override {
    if (!spread_.empty()) return *spread_[n % spread_.size()];
    return *channels_[n % channels_.size()];
  }
  void Settle() override;
  std::string Summary() const override;
  int64_t framing_faults() const override { return framing_faults_; }
  std::string Links() const override;

 private:
  static constexpr size_t kServers = 3;
  static constexpr size_t kChannelsToEach = 3;

  static std::string AddressOf(size_t server);
  ChannelOptions OptionsOf(size_t kind) const;
  void MakeTargets(Targets targets);
  void StartServer(size_t server);
  void StopServer(size_t server, absl::Duration drain);
  void MakeTrouble();
  void Trouble(uint64_t* random);

  const uint64_t seed_;
  std::shared_ptr<InProcessNetwork> network_;
  std::shared_ptr<Runtime> server_runtime_, client_runtime_;
  // One of each style for each server, and for the other direction.
  std::vector<std::unique_ptr<Service>> services_, stream_services_;
  std::vector<std::unique_ptr<Server>> servers_;  // the trouble's, until Settle
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<std::unique_ptr<SpreadTarget>> spread_;
  int64_t framing_faults_ = 0;  // the trouble's, until Settle
  std::atomic<bool> settling_{false};
  std::atomic<int> restarts_{0}, cuts_{0}, pulls_{0}, holds_{0};
  std::thread trouble_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_UNSTEADY_WORLD_H_
