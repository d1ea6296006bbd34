#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shop.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Stock final : public shop::Stock::Service {
 public:
  absl::Status Reserve(weft::ServerContext&, shop::Order& order, shop::Receipt& receipt) override {
    // The .proto file says `inline`: this runs on the I/O thread, so nothing here may wait.
    if (order.item() != "soup") return absl::NotFoundError("we have soup, and nothing else");
    receipt.set_text("one " + order.item() + " is yours");
    return absl::OkStatus();
  }
};

// One cook, who takes orders in the order in which they came.
class Kitchen final : public shop::Kitchen::AsyncService {
 public:
  ~Kitchen() override {
    {
      const std::lock_guard lock(mu_);
      // Under the mutex, or the cook could look, miss the notification and wait for ever.
      closing_ = true;
    }
    wake_.notify_one();
    cook_.join();
  }

  // Only queues the order: the worker is free for other calls while the cook is busy.
  void Cook(weft::ServerContext&, shop::Order& order,
            weft::Responder<shop::Receipt> responder) override {
    {
      const std::lock_guard lock(mu_);
      // The order lives as long as its responder, so a pointer will do.
      orders_.push_back({&order, std::move(responder)});
    }
    wake_.notify_one();
  }

 private:
  // A ticket that is lost would still end its call: a responder destroyed without Finish answers
  // with INTERNAL.
  struct Ticket {
    const shop::Order* order;
    weft::Responder<shop::Receipt> responder;
  };

  void CookOrders() {
    std::unique_lock lock(mu_);
    for (;;) {
      wake_.wait(lock, [this] { return closing_ || !orders_.empty(); });
      // Closing, and all orders are cooked: each responder has had its answer.
      if (orders_.empty()) return;
      Ticket ticket = std::move(orders_.front());
      orders_.pop_front();
      // New orders must not wait while one is cooked.
      lock.unlock();
      ticket.responder.reply().set_text("hot " + ticket.order->item());
      // Ends the call, and with it the order: `ticket.order` dangles from here on.
      ticket.responder.Finish();
      lock.lock();
    }
  }

  std::mutex mu_;
  std::condition_variable wake_;
  std::deque<Ticket> orders_;
  bool closing_ = false;
  // Last, so that everything that the thread uses is there when it starts.
  std::thread cook_{[this] { CookOrders(); }};
};

class Shop final : public shop::Shop::CoroService {
 public:
  Shop(shop::Stock::Stub stock, shop::Kitchen::Stub kitchen) : stock_(stock), kitchen_(kitchen) {}

  weft::Coro<absl::Status> Buy(weft::ServerContext&, shop::Order& order,
                               shop::Receipt& receipt) override {
    // Neither call needs a timeout: both end by the deadline of the call that Buy serves, and are
    // cancelled with it.
    absl::StatusOr<shop::Receipt> reserved = co_await stock_.ReserveCoro(order);
    // An order that was not reserved must not be cooked, so the calls are made one after the other.
    if (!reserved.ok()) co_return reserved.status();

    absl::StatusOr<shop::Receipt> cooked = co_await kitchen_.CookCoro(order);
    if (!cooked.ok()) co_return cooked.status();
    receipt.set_text(reserved->text() + ", " + cooked->text());
    co_return absl::OkStatus();
  }

 private:
  // Stubs only refer to their channel, which main destroys after this service.
  shop::Stock::Stub stock_;
  shop::Kitchen::Stub kitchen_;
};

// Methods have no `override`, for nothing here is virtual. A method that is missing, or has another
// type than the three, does not compile.
class Window final : public shop::Window::MixedService<Window> {
 public:
  Window(shop::Stock::Stub stock, shop::Kitchen::Stub kitchen) : stock_(stock), kitchen_(kitchen) {}

  absl::Status Price(weft::ServerContext&, shop::Order& order, shop::Receipt& receipt) {
    receipt.set_text(order.item() + " costs 5");
    return absl::OkStatus();
  }

  void Taste(weft::ServerContext&, shop::Order& order, weft::Responder<shop::Receipt> responder) {
    kitchen_.CookAsync(
        order, {},
        // Owned by the callback: its caller is answered however the call to the kitchen ends.
        [responder = std::move(responder)](absl::StatusOr<shop::Receipt> cooked) mutable {
          if (cooked.ok()) responder.reply().set_text("a spoon of " + cooked->text());
          responder.Finish(cooked.status());
        });
  }

  weft::Coro<absl::Status> Reserve(weft::ServerContext&, shop::Order& order,
                                   shop::Receipt& receipt) {
    absl::StatusOr<shop::Receipt> reserved = co_await stock_.ReserveCoro(order);
    if (reserved.ok()) receipt = *std::move(reserved);
    co_return reserved.status();
  }

 private:
  shop::Stock::Stub stock_;
  shop::Kitchen::Stub kitchen_;
};

void Print(const char* what, const absl::StatusOr<shop::Receipt>& receipt) {
  std::printf("%s: %s\n", what,
              receipt.ok() ? receipt->text().c_str() : receipt.status().ToString().c_str());
}

int main() {
  // Before their server, which calls them until its own end.
  Stock stock;
  Kitchen kitchen;
  weft::Server back({.io_threads = 1, .worker_threads = 2});
  absl::Status status = back.Register(stock);
  if (status.ok()) status = back.Register(kitchen);
  if (status.ok()) status = back.Start("127.0.0.1:0");
  auto to_back = weft::Channel::Create("127.0.0.1:" + std::to_string(back.port()));
  if (!status.ok() || !to_back.ok()) return 1;

  // Behind the channel and before its server: objects end in the opposite order, users first.
  Shop shop{shop::Stock::Stub(**to_back), shop::Kitchen::Stub(**to_back)};
  Window window{shop::Stock::Stub(**to_back), shop::Kitchen::Stub(**to_back)};
  weft::Server front({.io_threads = 1, .worker_threads = 2});
  status = front.Register(shop);
  if (status.ok()) status = front.Register(window);
  if (status.ok()) status = front.Start("127.0.0.1:0");
  auto to_front = weft::Channel::Create("127.0.0.1:" + std::to_string(front.port()));
  if (!status.ok() || !to_front.ok()) return 1;

  shop::Shop::Stub stub(**to_front);
  shop::Order order;
  // "cake" shows an error that Shop passes on; "soup" goes through both services.
  for (const char* item : {"cake", "soup"}) {
    order.set_item(item);
    Print(item, stub.Buy(order, {.timeout = absl::Seconds(2)}));
  }
  shop::Window::Stub at_window(**to_front);
  // `order` is still the soup of the loop's last turn.
  Print("price", at_window.Price(order));
  Print("taste", at_window.Taste(order));
  Print("reserve", at_window.Reserve(order));
  return 0;
}
