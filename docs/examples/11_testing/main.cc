#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "stock.weft.h"
#include "stock.weft_mock.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"
#include "weft/core/runtime.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"
#include "weft/rpc/testing/fake_streams.h"
#include "weft/rpc/testing/test_call.h"
#include "weft/rpc/testing/test_stream.h"

// Orders an item; says how that ended.
std::future<std::string> Order(stock::Stock::StubInterface& stock, const std::string& item) {
  auto ended = std::make_shared<std::promise<std::string>>();
  // Shared with the callback: the context has to live until the call has ended.
  auto context = std::make_shared<weft::ClientContext>();
  stock::TakeRequest request;
  request.set_item(item);
  stock.TakeAsync(
      request, {.timeout = absl::Minutes(1), .context = context.get()},
      [ended, context](absl::StatusOr<stock::TakeReply> reply) {
        if (reply.ok()) {
          ended->set_value("ordered");
          return;
        }
        ended->set_value(absl::StrCat(
            absl::StatusCodeToString(reply.status().code()),
            context->may_have_been_executed() ? ": look before you order again" : ": order again"));
      });
  return ended->get_future();
}

void WithAMock() {
  testing::NiceMock<stock::MockStockStub> stock;
  ON_CALL(stock, TakeAsync)
      .WillByDefault([](const stock::TakeRequest&, const weft::CallOptions&,
                        weft::Callback<stock::TakeReply> done) {
        // Runs inside the call, which a channel never does: code that holds its callback's lock
        // while it calls would hang here.
        std::move(done)(absl::UnavailableError("closed on Sundays"));
      });
  std::printf("a mock: %s\n", Order(stock, "tea").get().c_str());
}

// Follows an item until it is sold out.
std::string Watch(stock::Stock::StubInterface& stock) {
  auto levels = stock.Watch(stock::TakeRequest(), {.timeout = absl::InfiniteDuration()});
  stock::TakeReply level;
  while (levels.Read(&level)) {
    if (level.left() == 0) return "sold out";  // dropping the stream cancels the call
  }
  // A false Read does not say why. Finish does.
  return absl::StrCat("lost: ", levels.Finish().message());
}

// Takes a tea at a time, for as long as there is some; says how many it got.
int TakeAll(stock::Stock::StubInterface& stock) {
  auto taking = stock.TakeMany();
  stock::TakeReply reply;
  int got = 0;
  while (taking.Write(stock::TakeRequest()) && taking.Read(&reply)) {
    ++got;
    // No more requests: the next Write is false, which ends the loop.
    if (reply.left() == 0) taking.HalfClose();
  }
  return taking.Finish().ok() ? got : -1;
}

stock::TakeReply Left(int left) {
  stock::TakeReply reply;
  reply.set_left(left);
  return reply;
}

void WithFakeStreams() {
  testing::NiceMock<stock::MockStockStub> stock;
  weft::FakeReader<stock::TakeReply> lost({Left(2)}, absl::UnavailableError("closed on Sundays"));
  // The 9 behind the 0 must never be read.
  weft::FakeReader<stock::TakeReply> dropped({Left(1), Left(0), Left(9)});
  EXPECT_CALL(stock, Watch)
      .WillOnce([&](const stock::TakeRequest&, weft::CallOptions o) { return lost.Open(o); })
      .WillOnce([&](const stock::TakeRequest&, weft::CallOptions o) { return dropped.Open(o); });
  std::printf("a fake stream: %s\n", Watch(stock).c_str());
  std::printf("another: %s", Watch(stock).c_str());
  std::printf(", and then %s\n", dropped.cancelled() ? "dropped" : "left open");

  int left = 3;
  weft::FakeStream<stock::TakeRequest, stock::TakeReply> both;
  // Plays the server: runs inside the Write of the code under test.
  both.OnWritten([&](const stock::TakeRequest&) { both.Push(Left(--left)); });
  EXPECT_CALL(stock, TakeMany).WillOnce([&](weft::CallOptions o) { return both.Open(o); });
  const int got = TakeAll(stock);
  std::printf("both ways: %d taken, %zu written\n", got, both.written().size());
}

// Sells what there is to customers who still wait.
class Stock final : public stock::Stock::Service {
 public:
  absl::Status Take(weft::ServerContext& call, stock::TakeRequest&,
                    stock::TakeReply& reply) override {
    // A passed deadline counts, too: nothing is taken for a customer who does not wait.
    if (call.cancelled()) return absl::CancelledError("the customer has left");
    reply.set_left(100 - ++taken);
    return call.trailers().Add("shelf", "7");
  }
  absl::Status TakeMany(weft::ServerContext&,
                        weft::ServerStream<stock::TakeRequest, stock::TakeReply>& stream) override {
    stock::TakeRequest request;
    while (stream.Read(&request)) {
      if (!stream.Write(Left(100 - ++taken))) return absl::CancelledError("the customer has left");
    }
    return absl::OkStatus();
  }
  // Workers run handlers at the same time, and main reads the count.
  std::atomic<int> taken{0};
};

void WithoutAServer() {
  Stock stock;
  stock::TakeRequest request;
  stock::TakeReply reply;
  weft::ManualClock clock;
  // The timeout counts from here, by a clock that only this test moves.
  weft::TestCall call({.timeout = absl::Seconds(1), .clock = &clock});
  absl::Status status = stock.Take(call.context(), request, reply);
  std::printf("a handler: %s, %d left, from shelf %s\n", status.ToString().c_str(), reply.left(),
              std::string(call.trailers().Get("shelf").value_or("none")).c_str());
  clock.Advance(absl::Seconds(1));
  status = stock.Take(call.context(), request, reply);
  std::printf("past its deadline: %s\n", status.ToString().c_str());

  weft::TestCall many;
  weft::TestStream<stock::TakeRequest, stock::TakeReply> customers(many);
  customers.Push(request);
  customers.Push(request);
  // All input comes before the call: the handler would wait on this thread, which alone could push
  // more.
  customers.HalfClose();
  status = stock.TakeMany(many.context(), customers.stream());
  std::printf("one that streams: %s, %zu written\n", status.ToString().c_str(),
              customers.written().size());
}

int main() {
  WithAMock();
  WithFakeStreams();
  WithoutAServer();

  weft::ManualClock clock;
  // Declared after the clock, which must outlive it.
  auto runtime = weft::Runtime::Create({.log_level = weft::LogLevel::kOff, .clock = &clock});
  if (!runtime.ok()) return 1;
  auto network = weft::InProcessNetwork::Create();

  Stock service;
  // The same network on both sides is the only way by which they meet: its names are its own.
  weft::Server server({.runtime = *runtime, .network = network});
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("inproc:stock");
  if (!status.ok()) return 1;
  auto channel = weft::Channel::Create("inproc:stock", {.runtime = *runtime, .network = network});
  if (!channel.ok()) return 1;
  stock::Stock::Stub stub(**channel);
  std::printf("in memory: %s\n", Order(stub, "tea").get().c_str());

  // The request does not arrive, so only the clock can end the call.
  network->Hold(0);
  std::future<std::string> held = Order(stub, "tea");
  clock.Advance(absl::Minutes(1));
  std::printf("a minute later: %s\n", held.get().c_str());
  network->Release(0);

  std::future<std::string> cut = Order(stub, "tea");
  network->Cut(0);
  // Its end depends on where the cut met it; the next call shows that the channel has connected
  // again.
  cut.wait();
  std::printf("after a cut: %s\n", Order(stub, "tea").get().c_str());

  const uint64_t last = network->connections().back();
  weft::ConnectionFaults pulled;
  // From here on, for positions count from the bytes written so far. Both directions: neither end
  // is told.
  pulled.to_listener.drop_from = 0;
  pulled.to_dialer.drop_from = 0;
  network->Change(last, pulled);
  std::future<std::string> lost = Order(stub, "tea");
  // The heartbeat finds the loss after some intervals of the manual clock, which nobody else moves.
  while (lost.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    clock.Advance(absl::Seconds(10));
  }
  std::printf("a pulled cable: %s\n", lost.get().c_str());

  weft::FaultMix mix;
  mix.cut = 0.5;
  mix.dropped = 0;  // by the system's clock that takes half a minute
  mix.bytes = 1000;
  auto stormy = weft::InProcessNetwork::Create({.faults = [mix](uint64_t connection) {
    return weft::ConnectionFaults::Drawn(/*seed=*/42, connection, mix);
  }});
  Stock storm_service;
  weft::Server storm_server({.network = stormy});
  status = storm_server.Register(storm_service);
  if (status.ok()) status = storm_server.Start("inproc:stock");
  if (!status.ok()) return 1;
  auto storm_channel = weft::Channel::Create("inproc:stock", {.network = stormy});
  if (!storm_channel.ok()) return 1;
  stock::Stock::Stub storm_stub(**storm_channel);
  // "ordered" calls were taken for certain, "unclear" ones perhaps; all others not.
  int ordered = 0, unclear = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string end = Order(storm_stub, "tea").get();
    ordered += end == "ordered" ? 1 : 0;
    unclear += end.find("look") != std::string::npos ? 1 : 0;
  }
  const int taken = storm_service.taken;
  std::printf("in a storm, what was said is what was done: %s\n",
              ordered <= taken && taken <= ordered + unclear ? "yes" : "no");
  return 0;
}
