// Shared by the tests of the whole stack: addresses, echo services with hooks, results to wait for.
//
// Threads  Awaited, CollectedLog: any; the rest the test's
#ifndef WEFT_TESTS_INTEGRATION_STACK_H_
#define WEFT_TESTS_INTEGRATION_STACK_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/protos/echo.weft.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"
#include "weft/core/event_loop.h"
#include "weft/core/runtime.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft::test {

// ---- Messages

inline EchoRequest RequestOf(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

// Bytes that show any piece that was lost, doubled or moved.
inline std::string Pattern(size_t size, uint64_t seed = 1) {
  std::string bytes(size, '\0');
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

inline EchoRequest PayloadOf(size_t size, uint64_t seed = 1) {
  EchoRequest request;
  request.set_payload(Pattern(size, seed));
  return request;
}

inline void FillEcho(const EchoRequest& request, EchoReply* reply) {
  reply->set_payload(request.payload());
  reply->set_text(request.text());
  reply->set_number(request.number());
  *reply->mutable_words() = request.words();
}

// ---- Addresses

enum class Family { kTcp4, kTcp6, kUnix };

inline std::string NameOf(Family family) {
  return family == Family::kTcp4 ? "Tcp4" : family == Family::kTcp6 ? "Tcp6" : "Unix";
}

inline std::string ListenAddressOf(Family family, const TempDir& dir) {
  switch (family) {
    case Family::kTcp4:
      return "127.0.0.1:0";
    case Family::kTcp6:
      return "[::1]:0";
    case Family::kUnix:
      break;
  }
  return absl::StrCat("unix:", dir.path(), "/s");
}

// ---- Services

// Echo and Hang as the test says, everything else as the .proto says, but for Sleep, which does not
// wait by itself.
class HookedEcho : public EchoService::Service {
 public:
  std::function<absl::Status(ServerContext&, EchoRequest&, EchoReply&)> echo;
  // Sleep and SleepBriefly call it before they answer; null: they answer at once.
  std::function<void(ServerContext&)> in_sleep;
  // Calls inside Hang, which ends when `release` has happened or when it is cancelled.
  Watched<int> hanging{0};
  Watched<int> seen_cancelled{0};
  Notification release;
  // Handlers that were entered, of any method.
  std::atomic<int64_t> entered{0};

  absl::Status Echo(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    entered.fetch_add(1);
    if (echo) return echo(call, request, reply);
    FillEcho(request, &reply);
    return absl::OkStatus();
  }
  absl::Status EchoInline(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    return Echo(call, request, reply);
  }
  absl::Status Fail(ServerContext&, FailRequest& request, FailReply&) override {
    entered.fetch_add(1);
    absl::Status status(static_cast<absl::StatusCode>(request.code()), request.message());
    if (!status.ok()) {
      // Details that a test can look for at the client.
      status.SetPayload("type.googleapis.com/weft.test.FailRequest",
                        absl::Cord(request.SerializeAsString()));
    }
    return status;
  }
  absl::Status Throw(ServerContext&, FailRequest& request, FailReply&) override {
    entered.fetch_add(1);
    // An int, in the place of an exception object, is the harder case: it has no text.
    if (request.code() == 0) throw std::runtime_error(request.message());
    throw request.code();
  }
  absl::Status Sleep(ServerContext& call, SleepRequest& request, SleepReply& reply) override {
    entered.fetch_add(1);
    if (in_sleep) in_sleep(call);
    reply.set_micros(request.micros());
    return absl::OkStatus();
  }
  absl::Status SleepBriefly(ServerContext& call, SleepRequest& request,
                            SleepReply& reply) override {
    return Sleep(call, request, reply);
  }
  absl::Status Produce(ServerContext&, ProduceRequest& request, ProduceReply& reply) override {
    entered.fetch_add(1);
    reply.set_payload(Pattern(static_cast<size_t>(request.bytes())));
    return absl::OkStatus();
  }
  absl::Status Consume(ServerContext&, ConsumeRequest& request, ConsumeReply& reply) override {
    entered.fetch_add(1);
    reply.set_bytes(static_cast<int64_t>(request.payload().size()));
    return absl::OkStatus();
  }
  absl::Status Where(ServerContext& call, WhereRequest&, WhereReply& reply) override {
    entered.fetch_add(1);
    reply.set_thread(std::hash<std::thread::id>()(std::this_thread::get_id()));
    reply.set_on_loop(internal::EventLoop::Current() != nullptr);
    reply.set_peer(call.peer());
    const absl::Duration left = call.time_left();
    reply.set_remaining_micros(left == absl::InfiniteDuration() ? -1
                                                                : absl::ToInt64Microseconds(left));
    return absl::OkStatus();
  }
  absl::Status WhereInline(ServerContext& call, WhereRequest& request, WhereReply& reply) override {
    return Where(call, request, reply);
  }
  absl::Status Hang(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    entered.fetch_add(1);
    hanging.Update([](int& n) { ++n; });
    const bool ended = PollUntil([&] { return release.HasHappened() || call.cancelled(); });
    const bool cancelled = call.cancelled();
    hanging.Update([](int& n) { --n; });
    if (!ended) return absl::InternalError("nobody ended this call");
    if (cancelled) {
      seen_cancelled.Update([](int& n) { ++n; });
      return absl::CancelledError("seen by the handler");
    }
    FillEcho(request, &reply);
    return absl::OkStatus();
  }
};

// Answers Echo from a thread of its own, and Hang when the test says. A request stays valid until
// its responder has answered, so a pointer to it is enough.
class AnsweringEcho : public EchoService::AsyncService {
 public:
  using Waiting = std::vector<std::pair<EchoRequest*, Responder<EchoReply>>>;

  AnsweringEcho() : thread_([this] { Work(); }) {}
  ~AnsweringEcho() override { Stop(); }
  // Call it before members of a derived class go: it answers calls of Echo that are left.
  void Stop() {
    if (!thread_.joinable()) return;
    queue_.Update([](Queue& q) { q.stop = true; });
    thread_.join();
  }

  // Calls of Hang that have come and wait.
  Watched<int> hanging{0};
  // Answers all calls of Hang that wait.
  void Release() {
    Waiting waiting;
    {
      std::lock_guard<std::mutex> lock(mu_);
      waiting.swap(hung_);
    }
    for (auto& [request, responder] : waiting) {
      FillEcho(*request, &responder.reply());
      responder.Finish();
    }
  }
  std::thread::id answering_thread() const { return thread_.get_id(); }

  void Echo(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    queue_.Update([&](Queue& q) { q.waiting.emplace_back(&request, std::move(responder)); });
  }
  void Hang(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    {
      std::lock_guard<std::mutex> lock(mu_);
      hung_.emplace_back(&request, std::move(responder));
    }
    hanging.Update([](int& n) { ++n; });
  }

 private:
  struct Queue {
    Waiting waiting;
    bool stop = false;
  };
  void Work() {
    for (bool stop = false; !stop;) {
      Waiting waiting;
      // Nothing came within the patience of tests. An idle service is no failure: wait again.
      if (!queue_.WaitFor([](const Queue& q) { return q.stop || !q.waiting.empty(); })) continue;
      queue_.Update([&](Queue& q) {
        stop = q.stop;
        waiting.swap(q.waiting);
      });
      for (auto& [request, responder] : waiting) {
        FillEcho(*request, &responder.reply());
        responder.Finish();
      }
    }
  }

  Watched<Queue> queue_;
  std::mutex mu_;
  Waiting hung_;
  // The last member: the thread uses all others from its first step.
  std::thread thread_;
};

class CoroutineEcho : public EchoService::CoroService {
 public:
  // The coroutine awaits it before it answers.
  std::function<Coro<absl::Status>(EchoRequest&)> before;

  Coro<absl::Status> Echo(ServerContext&, EchoRequest& request, EchoReply& reply) override {
    if (before) {
      const absl::Status status = co_await before(request);
      if (!status.ok()) co_return status;
    }
    FillEcho(request, &reply);
    co_return absl::OkStatus();
  }
  Coro<absl::Status> Throw(ServerContext&, FailRequest& request, FailReply&) override {
    if (request.code() == 0) throw std::runtime_error(request.message());
    throw request.code();
    // Never reached; makes this function a coroutine.
    co_return absl::OkStatus();
  }
};

// ---- Results

// The end of one call, or of several: says how often it came.
template <typename T>
class Awaited {
 public:
  void Add(T value) {
    values_.Update([&](std::vector<T>& all) { all.push_back(std::move(value)); });
  }
  // Waits for the first value, and returns it.
  T Wait() { return WaitForAll(1).front(); }
  std::vector<T> WaitForAll(size_t count) {
    if (!values_.WaitFor([&](const std::vector<T>& all) { return all.size() >= count; })) {
      ADD_FAILURE() << "a call has not ended";
      std::abort();  // its callback refers to this
    }
    return values_.Get();
  }
  size_t count() const { return values_.Get().size(); }

 private:
  Watched<std::vector<T>> values_;
};

using EchoResult = Awaited<absl::StatusOr<EchoReply>>;

inline Callback<EchoReply> Into(EchoResult& result) {
  return [&result](absl::StatusOr<EchoReply> r) { result.Add(std::move(r)); };
}

// ---- Log

class CollectedLog final : public LogSink {
 public:
  void Write(LogLevel, std::string_view line) override {
    lines.Update([&](std::vector<std::string>& all) { all.emplace_back(line); });
  }
  Watched<std::vector<std::string>> lines;
};

// ---- Both sides

inline std::shared_ptr<Runtime> RuntimeOf(RuntimeOptions options = {}) {
  // Without a sink the lines would go to standard error, where nobody looks at them.
  if (options.log_sink == nullptr) options.log_level = LogLevel::kOff;
  absl::StatusOr<std::shared_ptr<Runtime>> runtime = Runtime::Create(std::move(options));
  if (!runtime.ok()) {
    ADD_FAILURE() << runtime.status();
    std::abort();
  }
  return *std::move(runtime);
}

inline std::unique_ptr<Channel> ChannelTo(const std::string& target, ChannelOptions options = {}) {
  if (options.runtime == nullptr) options.runtime = RuntimeOf();
  absl::StatusOr<std::unique_ptr<Channel>> channel = Channel::Create(target, std::move(options));
  if (!channel.ok()) {
    ADD_FAILURE() << channel.status();
    std::abort();
  }
  return *std::move(channel);
}

// A server that offers `service` at an address of `family`. Stops before the service may go.
class TestServer {
 public:
  explicit TestServer(Service& service, ServerOptions options = {}, Family family = Family::kTcp4)
      : server_(std::move(options)) {
    EXPECT_EQ(server_.Register(service), absl::OkStatus());
    EXPECT_EQ(server_.Start(ListenAddressOf(family, dir_)), absl::OkStatus());
  }
  TestServer(Service& service, Family family) : TestServer(service, ServerOptions(), family) {}

  Server& operator*() { return server_; }
  Server* operator->() { return &server_; }
  std::string target() const { return server_.addresses().at(0); }
  int port() const { return server_.port(); }
  std::unique_ptr<Channel> Connect(ChannelOptions options = {}) const {
    return ChannelTo(target(), std::move(options));
  }

 private:
  // Declared before the server, which removes its socket's file from this directory when it ends.
  TempDir dir_;
  Server server_;
};

MATCHER_P(HasCode, code, "") {
  const absl::Status& status = arg;
  *result_listener << status.ToString();
  return status.code() == code;
}

MATCHER_P2(IsStatus, code, message, "") {
  const absl::Status& status = arg;
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message, std::string(status.message()), result_listener);
}

}  // namespace weft::test

#endif  // WEFT_TESTS_INTEGRATION_STACK_H_
