// Servers in processes of their own, which are killed and started again, channels to them over
// sockets, and proxies between that cut: where a history happens with --processes.
//
//   channels ──► CuttingProxy ──► ServerProcess ──► Ledger
//      a proxy, a server and three channels for each style of handler
//
// Threads  as CallWorld. Its own thread makes the trouble
// Owns     all of it, but for the ledger
#ifndef WEFT_TESTS_HISTORY_PROCESS_WORLD_H_
#define WEFT_TESTS_HISTORY_PROCESS_WORLD_H_

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/history/call_world.h"
#include "tests/history/cutting_proxy.h"
#include "tests/history/server_process.h"
#include "weft/core/runtime.h"

namespace weft::test {

class ProcessWorld final : public CallWorld {
 public:
  // `ledger`: the file's path.
  ProcessWorld(uint64_t seed, const std::string& ledger, size_t keys);
  ~ProcessWorld() override;
  ProcessWorld(const ProcessWorld&) = delete;
  ProcessWorld& operator=(const ProcessWorld&) = delete;

  CallTarget& target(size_t n) override { return *channels_[n % channels_.size()]; }
  void Settle() override;
  std::string Summary() const override;
  int64_t framing_faults() const override { return framing_faults_; }
  std::string Links() const override;

 private:
  static constexpr size_t kChannelsToEach = 3;

  void MakeTrouble();
  void Trouble(uint64_t* random);

  const uint64_t seed_;
  std::shared_ptr<Runtime> runtime_;
  std::vector<std::unique_ptr<CuttingProxy>> proxies_;
  std::vector<std::unique_ptr<ServerProcess>> servers_;  // the trouble's, until Settle
  std::vector<std::unique_ptr<Channel>> channels_;
  int64_t framing_faults_ = 0;  // the trouble's, until Settle
  std::atomic<bool> settling_{false};
  std::atomic<int> kills_{0}, stops_{0}, holds_{0};
  std::thread trouble_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_PROCESS_WORLD_H_
