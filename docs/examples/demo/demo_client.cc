// The demo's client: a call in each style, calls that fail as they should, some seconds of load
// with live numbers, and a server that stops while a call is under way. Exits with 1 if anything is
// not as it should be.
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "demo.weft.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/channel.h"

namespace {

[[noreturn]] void Fail(std::string_view what) {
  // Standard output may be a pipe: its lines have to come before the error.
  std::fflush(stdout);
  std::fprintf(stderr, "demo_client: %.*s\n", static_cast<int>(what.size()), what.data());
  std::exit(1);
}

void Check(const absl::Status& status, absl::StatusCode want, std::string_view step) {
  if (status.code() == want) return;
  Fail(absl::StrCat(std::string(step), ": wanted ", absl::StatusCodeToString(want), ", got ",
                    status.ToString()));
}

demo::GetRequest Get(std::string key) {
  demo::GetRequest request;
  request.set_key(std::move(key));
  return request;
}

std::unique_ptr<weft::Channel> Connect(const std::string& target,
                                       std::shared_ptr<weft::Runtime> runtime) {
  weft::ChannelOptions options;
  options.runtime = std::move(runtime);
  auto channel = weft::Channel::Create(target, options);
  if (!channel.ok()) Fail(channel.status().ToString());
  return *std::move(channel);
}

// ---- One call in each style

weft::Coro<absl::StatusOr<demo::PutReply>> CopyInCoroutine(demo::Store::Stub store) {
  const absl::StatusOr<demo::GetReply> read =
      co_await store.GetCoro(Get("greeting"), {.timeout = absl::Seconds(1)});
  if (!read.ok()) co_return read.status();
  demo::PutRequest copy;
  copy.set_key("copy");
  copy.set_value(read->value());
  co_return co_await store.PutCoro(copy, {.timeout = absl::Seconds(1)});
}

void ShowStyles(demo::Store::Stub store) {
  std::printf("One call in each style:\n");
  demo::PutRequest put;
  put.set_key("greeting");
  put.set_value("hello from the store");
  const absl::StatusOr<demo::PutReply> put_reply = store.Put(put, {.timeout = absl::Seconds(1)});
  Check(put_reply.status(), absl::StatusCode::kOk, "blocking");
  std::printf("  blocking   store.Put(request)                 keys: %lld\n",
              static_cast<long long>(put_reply->keys()));

  std::promise<absl::StatusOr<demo::GetReply>> called;
  store.GetAsync(Get("greeting"), {.timeout = absl::Seconds(1)},
                 [&](absl::StatusOr<demo::GetReply> reply) { called.set_value(std::move(reply)); });
  const absl::StatusOr<demo::GetReply> from_callback = called.get_future().get();
  Check(from_callback.status(), absl::StatusCode::kOk, "callback");
  std::printf("  callback   store.GetAsync(request, {}, done)  value: %s\n",
              from_callback->value().c_str());

  std::promise<absl::StatusOr<demo::PutReply>> ended;
  weft::Spawn(CopyInCoroutine(store),
              [&](std::optional<absl::StatusOr<demo::PutReply>> reply, std::exception_ptr) {
                // Empty only where the coroutine threw, and this one does not.
                ended.set_value(*std::move(reply));
              });
  const absl::StatusOr<demo::PutReply> from_coroutine = ended.get_future().get();
  Check(from_coroutine.status(), absl::StatusCode::kOk, "coroutine");
  std::printf("  coroutine  co_await GetCoro, then PutCoro     keys: %lld\n",
              static_cast<long long>(from_coroutine->keys()));
}

// ---- Calls that fail

// A port of this machine without a listener.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    Fail("cannot find a free port");
  }
  // Nobody listens there unless another program takes the port in this moment, which the demo
  // risks.
  close(fd);
  return ntohs(address.sin_port);
}

void ShowErrors(demo::Store::Stub store, const std::shared_ptr<weft::Runtime>& runtime) {
  std::printf("\nCalls that fail say why:\n");
  demo::CompactRequest slow;
  slow.set_milliseconds(500);
  const absl::Status late = store.Compact(slow, {.timeout = absl::Milliseconds(50)}).status();
  Check(late, absl::StatusCode::kDeadlineExceeded, "a call of 500 ms with 50 ms to wait");
  std::printf("  a deadline of 50 ms   %s\n", late.ToString().c_str());

  const auto nobody = Connect(absl::StrCat("127.0.0.1:", FreePort()), runtime);
  const absl::Status refused = demo::Store::Stub(*nobody).Get(Get("greeting")).status();
  Check(refused, absl::StatusCode::kUnavailable, "a call to a port where nobody listens");
  std::printf("  nobody listens        %s\n", refused.ToString().c_str());

  const absl::Status missing = store.Get(Get("no such key")).status();
  Check(missing, absl::StatusCode::kNotFound, "a key that is not there");
  std::printf("  a handler's own       %s\n", missing.ToString().c_str());
}

// ---- Load, with live numbers

constexpr std::array<const char*, 3> kStyles = {"blocking", "callback", "coroutine"};

// Calls in all three styles, each as fast as it can, until Stop. `running_` counts the threads,
// chains of callbacks and coroutines that have not ended; they refer to this, so Stop waits for
// all.
class Load {
 public:
  static constexpr int kBlocking = 2, kCallback = 16, kCoroutine = 16;

  explicit Load(std::vector<demo::Store::Stub> stores) : stores_(std::move(stores)) {
    for (const char* style : kStyles) {
      stats_.push_back(std::make_unique<weft::MethodStats>(style));
    }
  }

  void Start() {
    for (int i = 0; i < kBlocking; ++i) threads_.emplace_back([this, i] { Blocking(Store(i)); });
    for (int i = 0; i < kCallback; ++i) Callback(Store(i));
    for (int i = 0; i < kCoroutine; ++i) {
      weft::Spawn(Coroutine(Store(i)),
                  [this](std::optional<bool>, std::exception_ptr) { running_.count_down(); });
    }
  }

  // Stops the load; every begun call has ended when this returns.
  void Stop() {
    stopping_ = true;
    running_.wait();
    for (std::thread& thread : threads_) thread.join();
  }

  std::vector<weft::MethodStatsSnapshot> Snapshot() const {
    std::vector<weft::MethodStatsSnapshot> all;
    for (const auto& stats : stats_) all.push_back(stats->Snapshot());
    return all;
  }
  std::string first_error() {
    const std::lock_guard lock(mu_);
    return first_error_;
  }

 private:
  demo::Store::Stub Store(int i) { return stores_[static_cast<size_t>(i) % stores_.size()]; }

  // True: go on.
  bool Count(size_t style, absl::Time begin, const absl::Status& status) {
    stats_[style]->Add(status.code(), absl::ToChronoNanoseconds(absl::Now() - begin));
    // Only the first: when the server is gone every call fails with the same text.
    if (!status.ok()) {
      const std::lock_guard lock(mu_);
      if (first_error_.empty()) first_error_ = status.ToString();
      return false;
    }
    return !stopping_;
  }

  void Blocking(demo::Store::Stub store) {
    absl::Time begin;
    do {
      begin = absl::Now();
    } while (Count(0, begin, store.Get(request_).status()));
    running_.count_down();
  }

  // A chain: each call's callback starts the next call. Callbacks of weft do not nest, so the stack
  // does not grow with the chain.
  void Callback(demo::Store::Stub store) {
    const absl::Time begin = absl::Now();
    store.GetAsync(request_, {}, [this, store, begin](absl::StatusOr<demo::GetReply> reply) {
      if (Count(1, begin, reply.status())) {
        Callback(store);
      } else {
        running_.count_down();
      }
    });
  }

  weft::Coro<bool> Coroutine(demo::Store::Stub store) {
    for (;;) {
      const absl::Time begin = absl::Now();
      const absl::StatusOr<demo::GetReply> reply = co_await store.GetCoro(request_);
      if (!Count(2, begin, reply.status())) co_return true;
    }
  }

  const demo::GetRequest request_ = Get("greeting");
  const std::vector<demo::Store::Stub> stores_;
  std::vector<std::unique_ptr<weft::MethodStats>> stats_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::latch running_{kBlocking + kCallback + kCoroutine};
  std::mutex mu_;
  std::string first_error_;
};

// The calls between two snapshots of the same counters.
weft::MethodStatsSnapshot Between(const weft::MethodStatsSnapshot& before,
                                  weft::MethodStatsSnapshot after) {
  after.calls -= before.calls;
  for (size_t i = 0; i < after.by_code.size(); ++i) after.by_code[i] -= before.by_code[i];
  for (size_t i = 0; i < before.latency.size(); ++i) after.latency[i] -= before.latency[i];
  return after;
}

void Add(const weft::MethodStatsSnapshot& from, weft::MethodStatsSnapshot* to) {
  to->calls += from.calls;
  for (size_t i = 0; i < from.by_code.size(); ++i) to->by_code[i] += from.by_code[i];
  if (to->latency.size() < from.latency.size()) to->latency.resize(from.latency.size());
  for (size_t i = 0; i < from.latency.size(); ++i) to->latency[i] += from.latency[i];
}

// A table of live numbers: redrawn in place on a terminal, else a new line each second.
class Table {
 public:
  void Second(double seconds, const std::vector<weft::MethodStatsSnapshot>& styles,
              const demo::StatusReply& server) {
    weft::MethodStatsSnapshot all;
    all.method = "all";
    for (const auto& style : styles) Add(style, &all);
    if (!terminal_) {
      if (!drawn_) Head("       ");
      drawn_ = true;
      std::printf("  %3.0f s", seconds);
      Row(all, server);
      std::fflush(stdout);
      return;
    }
    // The cursor goes up by the head, a row for each style, and the sum.
    if (drawn_) std::printf("\x1b[%zuA", styles.size() + 2);
    drawn_ = true;
    Head("            ");
    for (const auto& style : styles) {
      std::printf("\x1b[K  %-10s", style.method.c_str());
      Numbers(style);
      std::printf("\n");
    }
    std::printf("\x1b[K  %-10s", all.method.c_str());
    Row(all, server);
    std::fflush(stdout);
  }

 private:
  static void Head(const char* margin) {
    std::printf("%s    calls/s    p50 us    p99 us  errors   server: threads  connections\n",
                margin);
  }
  static void Numbers(const weft::MethodStatsSnapshot& s) {
    std::printf("%11lld%10.1f%10.1f%8lld", static_cast<long long>(s.calls),
                static_cast<double>(s.Quantile(0.5).count()) / 1e3,
                static_cast<double>(s.Quantile(0.99).count()) / 1e3,
                static_cast<long long>(s.errors()));
  }
  static void Row(const weft::MethodStatsSnapshot& s, const demo::StatusReply& server) {
    Numbers(s);
    std::printf("%18d%13lld\n", server.threads(), static_cast<long long>(server.connections()));
  }

  const bool terminal_ = isatty(STDOUT_FILENO) == 1;
  bool drawn_ = false;
};

struct Totals {
  int64_t calls = 0;
  double seconds = 0;
  int64_t per_second() const { return static_cast<int64_t>(static_cast<double>(calls) / seconds); }
};

Totals ShowLoad(const std::vector<demo::Store::Stub>& stores, int seconds) {
  std::printf(
      "\nLoad for %d s on %zu connections: %d blocking threads, %d callback chains, %d"
      " coroutines:\n",
      seconds, stores.size(), Load::kBlocking, Load::kCallback, Load::kCoroutine);
  Load load(stores);
  Table table;
  const absl::Time begin = absl::Now();
  load.Start();
  std::vector<weft::MethodStatsSnapshot> before = load.Snapshot();
  for (int second = 1; second <= seconds; ++second) {
    // Measured from the beginning, so that the seconds do not drift by what printing takes.
    absl::SleepFor(begin + absl::Seconds(second) - absl::Now());
    demo::Store::Stub store = stores.front();
    const absl::StatusOr<demo::StatusReply> server = store.Status(demo::StatusRequest());
    Check(server.status(), absl::StatusCode::kOk, "the server's status");
    std::vector<weft::MethodStatsSnapshot> now = load.Snapshot(), styles;
    for (size_t i = 0; i < now.size(); ++i) styles.push_back(Between(before[i], now[i]));
    table.Second(second, styles, *server);
    for (const auto& style : styles) {
      // A style that stands still would not show in the sum of all.
      if (style.calls == 0) Fail(absl::StrCat("no ", style.method, " call ended in a second"));
    }
    before = std::move(now);
  }
  load.Stop();
  Totals totals;
  totals.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  for (const auto& style : load.Snapshot()) totals.calls += style.calls;
  if (const std::string error = load.first_error(); !error.empty()) {
    Fail(absl::StrCat("a call under load failed: ", error));
  }
  return totals;
}

// ---- A server that stops

void ShowStop(demo::Store::Stub store, pid_t server) {
  std::printf("\nThe server is told to stop (SIGTERM) while a call of 800 ms is under way:\n");
  demo::CompactRequest slow;
  slow.set_milliseconds(800);
  std::promise<absl::StatusOr<demo::CompactReply>> ended;
  store.CompactAsync(slow, {}, [&](absl::StatusOr<demo::CompactReply> reply) {
    ended.set_value(std::move(reply));
  });
  // The slow call has to be under way before the server hears the signal.
  absl::SleepFor(absl::Milliseconds(200));
  if (kill(server, SIGTERM) != 0) Fail("cannot signal the server");
  absl::Status refused;
  // The signal takes a moment. Until then calls are served as usual.
  for (int i = 0; i < 40 && refused.ok(); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    refused = store.Get(Get("greeting"), {.timeout = absl::Seconds(1)}).status();
  }
  Check(refused, absl::StatusCode::kUnavailable, "a new call while the server stops");
  std::printf("  a new call            %s\n", refused.ToString().c_str());
  const absl::StatusOr<demo::CompactReply> reply = ended.get_future().get();
  Check(reply.status(), absl::StatusCode::kOk, "the call under way");
  std::printf("  the call under way    OK: %s\n", reply->report().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  std::string target;
  int pid = 0, seconds = 8;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (i + 1 == argc) Fail(absl::StrCat(argv[i], " wants a value"));
    if (name == "--server") {
      target = argv[i + 1];
    } else if ((name != "--server-pid" || !absl::SimpleAtoi(argv[i + 1], &pid)) &&
               (name != "--seconds" || !absl::SimpleAtoi(argv[i + 1], &seconds))) {
      Fail(absl::StrCat("does not understand ", argv[i], " ", argv[i + 1]));
    }
  }
  if (target.empty() || pid <= 0 || seconds < 1) {
    Fail("wants --server host:port --server-pid N [--seconds N]");
  }

  // Four connections share two I/O threads.
  auto runtime = weft::Runtime::Create({.io_threads = 2});
  if (!runtime.ok()) Fail(runtime.status().ToString());
  std::vector<std::unique_ptr<weft::Channel>> channels;
  std::vector<demo::Store::Stub> stores;
  for (int i = 0; i < 4; ++i) {
    channels.push_back(Connect(target, *runtime));
    stores.emplace_back(*channels.back());
  }

  ShowStyles(stores.front());
  ShowErrors(stores.front(), *runtime);
  const Totals load = ShowLoad(stores, seconds);
  ShowStop(stores.front(), static_cast<pid_t>(pid));
  std::printf("\n%lld calls in %.1f s of load, %lld a second; none of these failed.\n",
              static_cast<long long>(load.calls), load.seconds,
              static_cast<long long>(load.per_second()));
  return 0;
}
