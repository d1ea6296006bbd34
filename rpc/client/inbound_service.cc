#include "weft/rpc/client/inbound_service.h"

#include <utility>

namespace weft::internal {

InboundService::InboundService(const std::shared_ptr<EventLoop>& loop,
                               std::unique_ptr<InboundSink> sink, std::shared_ptr<CallPool> calls,
                               WhenQuiet when_quiet,
                               std::shared_ptr<AuthenticationQueue> authentications)
    : loop_(loop),
      sink_(std::move(sink)),
      pool_(std::move(calls)),
      when_quiet_(std::move(when_quiet)),
      authentications_(std::move(authentications)),
      bell_(std::make_shared<LoopBell>(loop, [this] {
        loop_->AssertInLoop();
        ContinueDrain();
      })) {
  loop_->AssertInLoop();
}

InboundService::~InboundService() {
  loop_->AssertInLoop();
  bell_->Silence();
  pool_->Close();
}

std::unique_ptr<CallAuthentication> InboundService::Authenticating(
    IoThread& io, const TransportIdentity& transport) {
  if (authentications_ == nullptr) return nullptr;
  return std::make_unique<CallAuthentication>(io, *sink_, authentications_, transport);
}

void InboundService::Drain(std::function<void()> done) {
  done_ = std::move(done);
  // Until the last handler has returned: handlers and calls refer to the sink and the pool.
  self_ = shared_from_this();
  // Before the first look: a call that comes back after that look rings.
  pool_->Watch(bell_);
  ContinueDrain();
}

void InboundService::ContinueDrain() {
  pool_->Collect();
  // The bell calls this again when calls come back. Once begun the end is not begun again.
  if (done_ == nullptr || pool_->out() > 0) return;
  when_quiet_(
      [loop = loop_, self = std::move(self_), done = std::exchange(done_, nullptr)]() mutable {
        // Back to the loop, in a later turn: when_quiet_ may call back inside Drain, or on a
        // worker's thread.
        loop->Post([self = std::move(self), done = std::move(done)](TaskFate) mutable {
          self.reset();
          done();
        });
      });
}

}  // namespace weft::internal
