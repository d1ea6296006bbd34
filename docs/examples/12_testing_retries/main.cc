#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "shop.weft.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"
#include "weft/core/runtime.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Shop final : public shop::Shop::Service {
 public:
  explicit Shop(const weft::ManualClock& clock) : clock_(clock) {}

  absl::Status Price(weft::ServerContext& call, shop::PriceRequest&,
                     shop::PriceReply& reply) override {
    // Handlers run on workers, while main reads the attempts.
    const std::lock_guard lock(mu_);
    attempts_.push_back(clock_.Now());
    changed_.notify_all();
    if (attempts_.size() <= failures_) {
      if (wish_ > absl::ZeroDuration()) call.RetryAfter(wish_);
      return absl::UnavailableError("counting the stock");
    }
    reply.set_cents(400);
    return absl::OkStatus();
  }

  // The next calls fail so often, and wish for so long a pause.
  void Script(size_t failures, absl::Duration wish = absl::ZeroDuration()) {
    const std::lock_guard lock(mu_);
    attempts_.clear();
    failures_ = failures;
    wish_ = wish;
  }
  void WaitForAttempts(size_t count) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return attempts_.size() >= count; });
  }
  // The pause before an attempt; 1 is the second one.
  absl::Duration Pause(size_t attempt) {
    const std::lock_guard lock(mu_);
    return absl::FromChrono(attempts_.at(attempt) - attempts_.at(attempt - 1));
  }

 private:
  const weft::ManualClock& clock_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<decltype(clock_.Now())> attempts_;
  size_t failures_ = 0;
  absl::Duration wish_;
};

std::future<std::string> Ask(shop::Shop::Stub& shop, absl::Duration timeout) {
  // Shared with the callback, which runs after this function has returned.
  auto ended = std::make_shared<std::promise<std::string>>();
  shop.PriceAsync(shop::PriceRequest(), {.timeout = timeout},
                  [ended](absl::StatusOr<shop::PriceReply> reply) {
                    ended->set_value(reply.ok() ? "OK" : std::string(reply.status().message()));
                  });
  return ended->get_future();
}

std::string PassTime(weft::ManualClock& clock, std::future<std::string> call) {
  // A pause begins when the client has the error, on its own thread: the clock is moved in steps,
  // so that each pause is passed after it has begun.
  while (call.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    clock.Advance(absl::Seconds(1));
  }
  return call.get();
}

const char* YesNo(bool yes) { return yes ? "yes" : "no"; }

int main() {
  weft::ManualClock clock;
  // Server and channel share the runtime: pauses and deadlines go by its clock.
  auto runtime = weft::Runtime::Create({.clock = &clock});
  if (!runtime.ok()) return 1;
  auto network = weft::InProcessNetwork::Create();

  Shop service(clock);
  weft::Server server({.runtime = *runtime, .network = network});
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("inproc:shop");
  if (!status.ok()) return 1;

  weft::ChannelOptions options{.runtime = *runtime, .network = network};
  options.retry = {.attempts = 3,
                   .backoff = absl::Seconds(10),
                   .backoff_factor = 2,
                   .max_backoff = absl::Minutes(1),
                   .backoff_jitter = 0};
  auto channel = weft::Channel::Create("inproc:shop", options);
  if (!channel.ok()) return 1;
  shop::Shop::Stub shop(**channel);

  // Two failures, and the third of three attempts answers.
  service.Script(2);
  std::printf("two failures: %s\n", PassTime(clock, Ask(shop, absl::InfiniteDuration())).c_str());
  std::printf(
      "pauses of at least 10 and 20 seconds: %s\n",
      YesNo(service.Pause(1) >= absl::Seconds(10) && service.Pause(2) >= absl::Seconds(20)));

  // One failure more than there are attempts: the last error is the call's.
  service.Script(3);
  std::printf("three: %s\n", PassTime(clock, Ask(shop, absl::InfiniteDuration())).c_str());

  // The backoff of 10 seconds would end behind the deadline of 5.
  service.Script(1);
  std::future<std::string> late = Ask(shop, absl::Seconds(5));
  service.WaitForAttempts(1);
  std::printf("no time for another: %s\n", late.get().c_str());

  // The wish of ten minutes goes before the backoff, also beyond `max_backoff`.
  service.Script(1, absl::Minutes(10));
  std::printf("come back in ten minutes: %s\n",
              PassTime(clock, Ask(shop, absl::InfiniteDuration())).c_str());
  std::printf("it did: %s\n", YesNo(service.Pause(1) >= absl::Minutes(10)));
  return 0;
}
