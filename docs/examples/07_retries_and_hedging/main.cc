#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "stock.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Stock final : public stock::Stock::Service {
 public:
  std::atomic<bool> slow{false};

  absl::Status Price(weft::ServerContext& call, stock::PriceRequest& request,
                     stock::PriceReply& reply) override {
    // Fails twice, so the third attempt is the one that answers.
    if (prices_.fetch_add(1) < 2) return absl::UnavailableError("counting the stock");
    // Only the first attempt is slow: the hedge overtakes it, and cancels it.
    if (slow.exchange(false)) {
      // Ends only because the losing attempt is cancelled: a handler that does not look goes on for
      // nobody.
      while (!call.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return absl::CancelledError("nobody waits any more");
    }
    reply.set_cents(100 * static_cast<int>(request.item().size()));
    return absl::OkStatus();
  }
  absl::Status Buy(weft::ServerContext& call, stock::PriceRequest&, stock::PriceReply&) override {
    // A negative time asks the client not to try again.
    if (buys_.fetch_add(1) > 0) call.RetryAfter(-absl::Seconds(1));
    return absl::UnavailableError("the till is closed");
  }

 private:
  std::atomic<int> prices_{0}, buys_{0};
};

int main() {
  Stock service;
  weft::Server server;
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) return 1;

  weft::ChannelOptions options;
  // The first attempt included: 1, the default, means no retry.
  options.retry.attempts = 3;
  // Short for the example. In production the pause gives a busy server time, and its jitter keeps
  // the clients from coming back together.
  options.retry.backoff = absl::Milliseconds(1);
  auto channel = weft::Channel::Create("127.0.0.1:" + std::to_string(server.port()), options);
  if (!channel.ok()) return 1;
  stock::Stock::Stub shop(**channel);

  stock::PriceRequest request;
  request.set_item("lamp");
  weft::ClientContext context;
  // Retried because the .proto file says `idempotent`; all attempts share this call's one deadline.
  const absl::StatusOr<stock::PriceReply> price = shop.Price(request, {.context = &context});
  if (!price.ok()) return 1;
  std::printf("%d cents, after %d attempts\n", static_cast<int>(price->cents()),
              context.attempts());

  // Not idempotent: a second attempt could buy twice, so the first failure is the caller's.
  std::printf("%s\n", std::string(shop.Buy(request).status().message()).c_str());
  std::printf("%s\n",
              std::string(shop.Buy(request, {.idempotent = true}).status().message()).c_str());

  options.hedging.attempts = 2;
  // Above the usual time of an answer: a shorter delay would send most calls twice.
  options.hedging.delay = absl::Milliseconds(20);
  auto hedged = weft::Channel::Create("127.0.0.1:" + std::to_string(server.port()), options);
  if (!hedged.ok()) return 1;
  service.slow = true;
  weft::ClientContext second;
  const auto fast = stock::Stock::Stub(**hedged).Price(request, {.context = &second});
  if (!fast.ok()) return 1;
  std::printf("%d attempts, %d of them a hedge\n", second.attempts(),
              static_cast<int>((*hedged)->counts().hedges));
  return 0;
}
