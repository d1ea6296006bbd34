#include "weft/rpc/client/inbound_service.h"

#include <utility>

namespace weft {
namespace {

constexpr Nanos kLook = std::chrono::milliseconds(1);

}  // namespace

InboundService::InboundService(EventLoop& loop, std::unique_ptr<InboundSink> sink,
                               std::shared_ptr<CallPool> pool, std::function<bool()> quiet)
    : loop_(loop),
      sink_(std::move(sink)),
      pool_(std::move(pool)),
      quiet_(std::move(quiet)),
      timer_(loop, [this] {
        loop_.AssertInLoop();
        LookAgain();
      }) {
  loop_.AssertInLoop();
}

InboundService::~InboundService() {
  loop_.AssertInLoop();
  pool_->Close();
}

void InboundService::Drain(std::function<void()> done) {
  done_ = std::move(done);
  self_ = shared_from_this();
  LookAgain();
}

void InboundService::LookAgain() {
  pool_->Collect();
  if (pool_->out() > 0 || !quiet_()) {
    timer_.StartAfter(kLook);
    return;
  }
  // Later: this may run inside its own timer.
  loop_.Post([self = std::move(self_), done = std::exchange(done_, nullptr)](TaskFate) mutable {
    self.reset();
    done();
  });
}

}  // namespace weft
