// The server that tests/hostile/run.py attacks.
//
//   hostile_server [--io N] [--workers N] [--token TEXT] [--auth-ms N] [--drain-ms N]
//                  [--heartbeat-ms N]
//
// Prints its port, then one line of JSON on each SIGUSR1: what was executed, in which order, what
// was authenticated, which connections there were. SIGTERM stops it; it prints such a line then
// too. With a token it has an authenticator, which takes "good" at once, and sleeps for `auth-ms`
// before it takes the token or refuses any other.
#include <signal.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "hostile.weft.h"
#include "weft/core/mutex.h"
#include "weft/rpc/server.h"

namespace hostile {
namespace {

struct Settings {
  weft::ServerOptions server;
  std::string token;
  int64_t auth_ms = 0;
};

class TargetService final : public Target::Service {
 public:
  absl::Status Do(weft::ServerContext&, Job& job, Done& done) override {
    return Execute(job, &done);
  }
  absl::Status DoInline(weft::ServerContext&, Job& job, Done& done) override {
    return Execute(job, &done);
  }
  absl::Status DoOrdered(weft::ServerContext&, Job& job, Done& done) override {
    {
      weft::internal::MutexLock lock(mutex_);
      order_.push_back(job.id());
    }
    return Execute(job, &done);
  }
  absl::Status Down(weft::ServerContext&, Job& job, weft::ServerWriter<Done>& out) override {
    executed_.fetch_add(1);
    Done done;
    done.set_id(job.id());
    done.set_payload(std::string(static_cast<size_t>(job.reply_bytes()), 'd'));
    for (int64_t i = 0; i < job.replies(); ++i) {
      if (!out.Write(done)) return absl::CancelledError("nobody reads");
    }
    return absl::OkStatus();
  }
  absl::Status Up(weft::ServerContext&, weft::ServerReader<Job>& in, Done& done) override {
    executed_.fetch_add(1);
    Job job;
    while (in.Read(&job)) done.set_id(job.id());
    return absl::OkStatus();
  }

  int64_t executed() const { return executed_.load(); }
  // The ids of DoOrdered, as its handlers began.
  std::vector<int64_t> order() const {
    weft::internal::MutexLock lock(mutex_);
    return order_;
  }

 private:
  absl::Status Execute(const Job& job, Done* done) {
    done->set_executed_before(executed_.fetch_add(1));
    done->set_id(job.id());
    if (job.sleep_us() > 0) absl::SleepFor(absl::Microseconds(job.sleep_us()));
    done->set_payload(std::string(static_cast<size_t>(job.reply_bytes()), 'r'));
    return absl::OkStatus();
  }

  std::atomic<int64_t> executed_{0};
  mutable weft::internal::Mutex mutex_;
  std::vector<int64_t> order_ WEFT_GUARDED_BY(mutex_);
};

// Counts what it is asked, before and after Stop was called.
class Guard {
 public:
  Guard(std::string token, int64_t sleep_ms) : token_(std::move(token)), sleep_ms_(sleep_ms) {}

  absl::StatusOr<std::string> Check(std::string_view token) {
    (stopping_.load() ? begun_after_stop_ : begun_).fetch_add(1);
    if (token != "good") absl::SleepFor(absl::Milliseconds(sleep_ms_));
    ended_.fetch_add(1);
    if (token != "good" && token != token_) return absl::UnauthenticatedError("wrong token");
    return std::string("friend");
  }
  void OnStop() { stopping_.store(true); }
  int64_t begun() const { return begun_.load(); }
  int64_t ended() const { return ended_.load(); }
  int64_t begun_after_stop() const { return begun_after_stop_.load(); }

 private:
  const std::string token_;
  const int64_t sleep_ms_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> begun_{0}, ended_{0}, begun_after_stop_{0};
};

bool Parse(int argc, char** argv, Settings* settings) {
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) return false;
    const std::string value = argv[i + 1];
    if (name == "--token") {
      settings->token = value;
      continue;
    }
    int64_t number = 0;
    if (!absl::SimpleAtoi(value, &number)) return false;
    if (name == "--io") {
      settings->server.io_threads = static_cast<int>(number);
    } else if (name == "--workers") {
      settings->server.worker_threads = static_cast<int>(number);
    } else if (name == "--auth-ms") {
      settings->auth_ms = number;
    } else if (name == "--drain-ms") {
      settings->server.drain = absl::Milliseconds(number);
    } else if (name == "--heartbeat-ms") {
      settings->server.limits.heartbeat_interval = absl::Milliseconds(number);
    } else {
      return false;
    }
  }
  return true;
}

void PrintState(const weft::Server& server, const TargetService& service, const Guard& guard) {
  int64_t closed = 0;
  for (int i = 0; i < 32; ++i) {
    const auto reason = static_cast<weft::CloseReason>(i);
    if (weft::CloseReasonName(reason).empty()) break;
    closed += server.closed(reason);
  }
  const weft::Server::Connections connections = server.connections();
  std::printf("{%s}\n", absl::StrCat("\"executed\": ", service.executed(), ", \"order\": [",
                                     absl::StrJoin(service.order(), ", "), "], \"auth_begun\": ",
                                     guard.begun(), ", \"auth_ended\": ", guard.ended(),
                                     ", \"auth_begun_after_stop\": ", guard.begun_after_stop(),
                                     ", \"open\": ", connections.open, ", \"accepted\": ",
                                     connections.accepted, ", \"closed\": ", closed)
                            .c_str());
  std::fflush(stdout);
}

int Run(Settings settings) {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&signals, signal);
  // Before the server starts its threads, which inherit the mask.
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Guard guard(settings.token, settings.auth_ms);
  if (!settings.token.empty()) {
    settings.server.authenticator = [&guard](std::string_view token, const std::string&) {
      return guard.Check(token);
    };
  }
  TargetService service;
  weft::Server server(settings.server);
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  std::printf("%d\n", server.port());
  std::fflush(stdout);
  for (int signal = 0; ::sigwait(&signals, &signal) == 0 && signal == SIGUSR1;) {
    PrintState(server, service, guard);
  }
  guard.OnStop();
  server.Stop();
  PrintState(server, service, guard);
  return 0;
}

}  // namespace
}  // namespace hostile

int main(int argc, char** argv) {
  hostile::Settings settings;
  if (!hostile::Parse(argc, argv, &settings)) {
    std::fprintf(stderr, "see the beginning of tests/hostile/hostile_server.cc\n");
    return 2;
  }
  return hostile::Run(std::move(settings));
}
