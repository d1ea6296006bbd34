#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bank.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Bank final : public bank::Bank::Service {
 public:
  absl::Status Append(weft::ServerContext&, bank::Line& line, bank::Done&) override {
    lines.push_back(line.number());  // no mutex: there is one connection, and so one at a time
    return absl::OkStatus();
  }
  absl::Status Pay(weft::ServerContext&, bank::Payment& payment, bank::Done&) override {
    if (payment.account() == "slow") Wait(slow_may_go);
    return absl::OkStatus();
  }
  absl::Status Report(weft::ServerContext&, bank::ReportRequest&, bank::Done&) override {
    reporting = true;
    // A handler that waits occupies its thread: the pool's queue fills behind it.
    Wait(reports_may_go);
    return absl::OkStatus();
  }

  std::vector<int64_t> lines;
  // Shared by the handlers' threads and main's.
  std::atomic<bool> slow_may_go{false}, reporting{false}, reports_may_go{false};

 private:
  static void Wait(const std::atomic<bool>& until) {
    while (!until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
};

absl::Status Configure(weft::Server& server) {
  absl::Status status = server.Configure(
      bank::Bank::kPay,
      // Calls with one key run one after another; other keys do not wait for them.
      {.request_key = weft::KeyOf<bank::Payment>(
           [](const weft::ServerContext&, const bank::Payment& p) { return p.account(); })});
  // A report runs, a second one waits for the pool's only thread; a third one is refused, not
  // queued.
  if (status.ok()) status = server.Configure(bank::Bank::kReport, {.max_calls = 2});
  return status;
}

using Result = absl::StatusOr<bank::Done>;

// Ends when all calls have ended.
void Append(bank::Bank::Stub& stub, int64_t count) {
  std::atomic<int64_t> left = count;
  for (int64_t i = 0; i < count; ++i) {
    bank::Line line;
    line.set_number(i);
    // Nothing is waited for between the calls: the order on the wire is that of these calls.
    stub.AppendAsync(line, {}, [&left](Result) { --left; });
  }
  while (left > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

bool InOrder(const std::vector<int64_t>& lines) {
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

void Keys(bank::Bank::Stub& stub, Bank& service) {
  std::atomic<int> slow_left = 2;
  bank::Payment slow, quick;
  slow.set_account("slow");
  quick.set_account("quick");
  for (int i = 0; i < 2; ++i) stub.PayAsync(slow, {}, [&slow_left](Result) { --slow_left; });
  // Both slow ones are still open: else "quick" proves nothing.
  const bool paid = stub.Pay(quick).ok() && slow_left == 2;
  std::printf("The quick account was paid while the slow one waited: %s\n", paid ? "yes" : "no");
  service.slow_may_go = true;
  while (slow_left > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void Pools(bank::Bank::Stub& stub, Bank& service) {
  std::atomic<int> left = 2;
  for (int i = 0; i < 2; ++i) stub.ReportAsync({}, {}, [&left](Result) { --left; });
  // The pool has one thread. Only when a report runs is the second one behind it.
  while (!service.reporting) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::printf("Behind two reports: %s\n", stub.Append(bank::Line()).status().ToString().c_str());
  std::printf("A third report: %s\n", stub.Report({}).status().ToString().c_str());
  service.reports_may_go = true;
  while (left > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

int main() {
  Bank service;
  weft::Server server({.worker_threads = 2,
                       .pools = {{"reports", {.threads = 1, .queue = 10}}},
                       .overload = {.adaptive = true, .shed = true}});
  absl::Status status = server.Register(service);
  // Between Register, which names the methods, and Start, which serves them.
  if (status.ok()) status = Configure(server);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  auto channel = weft::Channel::Create("127.0.0.1:" + std::to_string(server.port()));
  if (!status.ok() || !channel.ok()) return 1;
  bank::Bank::Stub stub(**channel);

  Append(stub, 50);
  std::printf("%d lines, in order: %s\n", static_cast<int>(service.lines.size()),
              InOrder(service.lines) ? "yes" : "no");
  Keys(stub, service);
  Pools(stub, service);
  return 0;
}
