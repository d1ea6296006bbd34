// Measures what a burst leaves behind in a server's resident memory.
//
//   burst --server <echo_server> --case metadata|storm|calls [--port <n>] [--size <bytes>]
//         [--count <n>] [--outstanding <n>] [--wait <seconds>] [--hold]
//
// Starts the server, makes 1,000 ordinary calls, waits (ten seconds), notes its resident memory,
// makes the burst, closes its connections, waits as long again and notes it once more.
//
//   metadata  `count` calls with `size` bytes of metadata each, `outstanding` at a time
//   storm     `count` connections that are made, carry a call each and are closed, `outstanding`
//             open at a time
//   calls     `count` calls with payloads of `size` bytes, `outstanding` at a time
//
// The last line: "<case>: before B KiB, at most P, after A: ratio R". With --hold the server is
// left running until a byte comes from stdin, to be looked into.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/echo.weft.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "weft/rpc/channel.h"

namespace {

using weft::bench::EchoRequest;
using weft::bench::EchoResponse;
using weft::bench::EchoService;
using weft::bench::Fail;

// Returns a port that is free at the moment.
int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const where = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || ::bind(fd, where, size) != 0 || ::getsockname(fd, where, &size) != 0)
    Fail("no port");
  // Another program may take the port before the server does; the run fails then.
  ::close(fd);
  return ntohs(address.sin_port);
}

class ServerProcess {
 public:
  ServerProcess(const std::string& program, const std::string& port) {
    int out[2];
    if (::pipe(out) != 0) Fail("no pipe");
    pid_ = ::fork();
    if (pid_ < 0) Fail("no process");
    if (pid_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::close(out[0]);
      ::close(out[1]);
      ::execl(program.c_str(), program.c_str(), "--port", port.c_str(), nullptr);
      _exit(127);
    }
    ::close(out[1]);
    // "READY" and a line feed: the server listens.
    char line[6];
    if (::read(out[0], line, sizeof line) != sizeof line) Fail(program + " does not start");
  }
  ~ServerProcess() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

  // KiB, by a field of /proc/PID/status.
  long Memory(const std::string& field) const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(field + ":")) return std::stol(line.substr(field.size() + 1));
    }
    Fail("the server is gone");
  }

 private:
  pid_t pid_ = -1;
};

// So many at a time.
class Window {
 public:
  explicit Window(int most) : most_(most) {}
  void Enter() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return inside_ < most_; });
    ++inside_;
  }
  void Leave() {
    std::lock_guard lock(mu_);
    --inside_;
    changed_.notify_all();
  }
  void AwaitEmpty() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return inside_ == 0; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  const int most_;
  int inside_ = 0;
};

class Client {
 public:
  explicit Client(std::string target) : target_(std::move(target)) {
    auto runtime = weft::Runtime::Create();
    if (!runtime.ok()) Fail(runtime.status().ToString());
    runtime_ = *runtime;
  }

  std::unique_ptr<weft::Channel> Connect() {
    auto channel = weft::Channel::Create(target_, {.runtime = runtime_});
    if (!channel.ok()) Fail(channel.status().ToString());
    return *std::move(channel);
  }

  void Ordinary(int count) {
    auto channel = Connect();
    EchoService::Stub stub(*channel);
    EchoRequest request;
    request.set_payload(std::string(32, 'x'));
    for (int i = 0; i < count; ++i) Check(stub.Echo(request));
  }

  // `metadata`: bytes of it with each call.
  void Calls(int count, int outstanding, size_t payload, size_t metadata) {
    auto channel = Connect();
    EchoService::Stub stub(*channel);
    EchoRequest request;
    request.set_payload(std::string(payload, 'x'));
    Window window(outstanding);
    for (int i = 0; i < count; ++i) {
      window.Enter();
      auto context = std::make_shared<weft::ClientContext>();
      if (metadata > 0 && !context->metadata().Add("burst", std::string(metadata, 'm')).ok())
        Fail("no metadata");
      stub.EchoAsync(request, {.timeout = absl::Seconds(60), .context = context.get()},
                     [&window, context](absl::StatusOr<EchoResponse> reply) {
                       Check(reply);
                       window.Leave();
                     });
    }
    window.AwaitEmpty();
  }

  void Storm(int count, int together) {
    for (int made = 0; made < count; made += together) {
      Window window(together);
      std::vector<std::unique_ptr<weft::Channel>> channels;
      for (int i = 0; i < together; ++i) {
        window.Enter();
        channels.push_back(Connect());
        EchoService::Stub stub(*channels.back());
        stub.EchoAsync(EchoRequest(), {.timeout = absl::Seconds(60), .wait_for_ready = true},
                       [&window](absl::StatusOr<EchoResponse> reply) {
                         Check(reply);
                         window.Leave();
                       });
      }
      window.AwaitEmpty();
    }
  }

 private:
  static void Check(const absl::StatusOr<EchoResponse>& reply) {
    if (!reply.ok()) Fail(reply.status().ToString());
  }

  const std::string target_;
  std::shared_ptr<weft::Runtime> runtime_;
};

}  // namespace

int main(int argc, char** argv) {
  weft::bench::Arguments arguments(argc, argv);
  const std::string server = arguments.Text("server", "");
  const std::string what = arguments.Text("case", "");
  const auto asked = static_cast<int>(arguments.Integer("port", 0, 0, 65'535));
  const std::string port = std::to_string(asked > 0 ? asked : FreePort());
  const auto size = static_cast<size_t>(arguments.Integer("size", 16'000, 0, 60 << 20));
  const auto count = static_cast<int>(arguments.Integer("count", 8000, 1, 10'000'000));
  const auto outstanding = static_cast<int>(arguments.Integer("outstanding", 2000, 1, 100'000));
  const auto wait = std::chrono::seconds(arguments.Integer("wait", 10, 0, 3600));
  const bool hold = arguments.Flag("hold");
  arguments.RefuseUnread();
  if (server.empty()) Fail("--server says which program");
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  // A storm has thousands of sockets open at a time, in this process and in the server, which
  // inherits it.
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  const ServerProcess process(server, port);
  Client client("127.0.0.1:" + port);
  client.Ordinary(1000);
  std::this_thread::sleep_for(wait);
  const long before = process.Memory("VmRSS");
  if (what == "metadata") {
    client.Calls(count, outstanding, 0, size);
  } else if (what == "storm") {
    client.Storm(count, std::min(count, outstanding));
  } else if (what == "calls") {
    client.Calls(count, outstanding, size, 0);
  } else {
    Fail("--case is metadata, storm or calls");
  }
  std::this_thread::sleep_for(wait);
  const long after = process.Memory("VmRSS");
  std::printf("%s: before %ld KiB, at most %ld, after %ld: ratio %.2f\n", what.c_str(), before,
              process.Memory("VmHWM"), after,
              static_cast<double>(after) / static_cast<double>(before));
  if (hold) {
    std::printf("server: %d\n", process.pid());
    std::fflush(stdout);
    std::getchar();
  }
  return 0;
}
