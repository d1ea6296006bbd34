#include "send_behind.h"

#include <chrono>
#include <utility>

#include "weft/rpc/broadcast.h"

namespace weft::examples::kv {
namespace {

// A crash loses about as much as comes in between: acknowledged writes, as --no-quorum is to show.
constexpr std::chrono::milliseconds kEvery(20);

}  // namespace

SendBehind::SendBehind(Node& node) : node_(node), thread_([this] { Run(); }) {}

SendBehind::~SendBehind() {
  {
    const std::lock_guard lock(mu_);
    ending_ = true;
  }
  wake_.notify_one();
  // Without the mutex, which the thread needs to end.
  thread_.join();
}

void SendBehind::Add(const Entry& entry) {
  const std::lock_guard lock(mu_);
  *batch_.add_entries() = entry;
}

void SendBehind::Run() {
  std::unique_lock lock(mu_);
  while (!wake_.wait_for(lock, kEvery, [this] { return ending_; })) {
    if (batch_.entries().empty()) continue;
    // Taken out under the mutex and sent without it: writers must not wait for the network.
    PutRequest batch = std::exchange(batch_, PutRequest());
    lock.unlock();
    batch.set_behind(true);
    BroadcastAsync(node_, Replica::kPut, batch, {.want = Want::Each(), .self = Self::kLeftOut},
                   // Nobody looks at the result: that is what --no-quorum gives up.
                   [](BroadcastResult<PutReply>) {});
    lock.lock();
  }
}

}  // namespace weft::examples::kv
