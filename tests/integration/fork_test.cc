// In a forked process calls over its parent's channels fail at once, nothing hangs, and nothing
// that the child does reaches the parent's connections.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/fork_guard.h"
#include "weft/core/worker_pool.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A child that hangs ends by SIGALRM after this time, and its parent learns so.
constexpr unsigned kChildSeconds = 60;

std::string ReadAll(int fd) {
  std::string all;
  char buffer[4096];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof(buffer))) != 0;) {
    if (n > 0) {
      all.append(buffer, static_cast<size_t>(n));
    } else if (errno != EINTR) {
      break;
    }
  }
  return all;
}

// Every other thread sleeps: none starts, and none holds a lock of an allocator, which a child
// would never get.
bool OtherThreadsSleep() {
  const std::string self = std::to_string(::gettid());
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == self) continue;
    std::ifstream file(task.path() / "stat");
    std::string stat;
    std::getline(file, stat);
    const size_t name_end = stat.rfind(')');  // "id (name) state ..."
    if (name_end == std::string::npos || name_end + 2 >= stat.size()) return false;
    if (stat[name_end + 2] != 'S') return false;
  }
  return true;
}

// Runs `child` in a process of its own and returns its text, or how the process ended when it did
// not end well. Nothing of gtest's works there.
std::string InChild(const std::function<std::string()>& child) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_TRUE(PollUntil(OtherThreadsSleep));
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(kChildSeconds);
    const std::string said = child();
    const bool written = ::write(ends[1], said.data(), said.size()) >= 0;
    // Not exit: no destructor of the parent's objects may run here.
    ::_exit(written ? 0 : 1);
  }
  EXPECT_GT(pid, 0);
  ::close(ends[1]);
  std::string said = ReadAll(ends[0]);
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    absl::StrAppend(&said, " (the child ended with ", status, ")");
  }
  return said;
}

// The text of each status, or "OK".
std::string Of(const absl::Status& status) { return absl::StrCat("[", status.ToString(), "]"); }

auto IsRefusal() {
  return AllOf(HasSubstr("FAILED_PRECONDITION"), HasSubstr("this process was forked"));
}

class Fork : public ::testing::Test {
 protected:
  Fork() : server_(service_), channel_(server_.Connect()), stub_(*channel_) {
    EXPECT_TRUE(stub_.Echo(RequestOf("connects")).ok());
  }
  void ExpectTheParentGoesOn() {
    EXPECT_TRUE(stub_.Echo(RequestOf("after")).ok());
    EXPECT_EQ(channel_->counts().connects, 1);
    EXPECT_EQ(server_->connections().open, 1);
  }

  HookedEcho service_;
  TestServer server_;
  std::unique_ptr<Channel> channel_;
  EchoService::Stub stub_;
};

TEST_F(Fork, CallsOfEveryStyleFailInTheChild) {
  ClientContext context;
  const std::string said = InChild([&] {
    std::string all = Of(stub_.Echo(RequestOf("x"), {.context = &context}).status());
    if (context.may_have_been_executed()) all += "executed?";
    stub_.EchoAsync(RequestOf("x"), {},
                    [&](absl::StatusOr<EchoReply> r) { all += Of(r.status()); });
    // Awaited by hand, so that a call that would wait says so instead of hanging.
    CoroCall<EchoReply> call = stub_.EchoCoro(RequestOf("x"));
    if (!call.await_ready() && call.await_suspend(std::noop_coroutine())) return all + "waits";
    return all + Of(call.await_resume().status());
  });
  EXPECT_THAT(said, IsRefusal());
  EXPECT_THAT(said, HasSubstr(absl::StrCat("call weft.test.EchoService/Echo: the channel to ",
                                           server_.target())));
  size_t count = 0;
  for (size_t at = 0; (at = said.find("FAILED_PRECONDITION", at)) != std::string::npos; ++at) {
    ++count;
  }
  // One refusal for each style.
  EXPECT_EQ(count, 3u) << said;
  EXPECT_EQ(service_.entered.load(), 1);
  ExpectTheParentGoesOn();
}

TEST_F(Fork, ACallWhoseCallbackHasAnExecutorFailsInTheChild) {
  const auto runtime = RuntimeOf();
  absl::StatusOr<internal::WorkerPool*> pool = runtime->workers();
  ASSERT_TRUE(pool.ok());
  EXPECT_THAT(InChild([&] {
                std::string all;
                // The executor's threads do not exist in the child, so the callback has to run
                // inside this call.
                stub_.EchoAsync(RequestOf("x"), {.executor = *pool},
                                [&](absl::StatusOr<EchoReply> r) { all += Of(r.status()); });
                return all;
              }),
              IsRefusal());
}

TEST_F(Fork, AChannelThatNeverConnectedFailsInTheChildToo) {
  const auto other = ChannelTo("unix:/nowhere/at/all");
  EXPECT_THAT(InChild([&] {
                other->Connect();
                return Of(EchoService::Stub(*other)
                              .Echo(RequestOf("x"),
                                    {.timeout = absl::InfiniteDuration(), .wait_for_ready = true})
                              .status());
              }),
              IsRefusal());
}

TEST_F(Fork, TearingDownInTheChildIsNothingToTheParent) {
  const auto runtime = RuntimeOf();
  ChannelOptions options;
  options.runtime = runtime;
  std::unique_ptr<Channel> shared = server_.Connect(options);
  ASSERT_TRUE(EchoService::Stub(*shared).Echo(RequestOf("connects")).ok());
  const TempDir dir;
  const std::string address = ListenAddressOf(Family::kUnix, dir);
  auto other = std::make_unique<Server>();
  ASSERT_EQ(other->Register(service_), absl::OkStatus());
  ASSERT_EQ(other->Start(address), absl::OkStatus());
  const auto to_other = ChannelTo(address);
  ASSERT_TRUE(EchoService::Stub(*to_other).Echo(RequestOf("connects")).ok());
  EXPECT_EQ(InChild([&] {
              server_->Stop();
              server_->Wait();
              other.reset();  // would remove its socket's name
              channel_.reset();
              shared.reset();
              options.runtime.reset();
              return std::string();
            }),
            "");
  // All that the child tore down is the parent's, and goes on here.
  EXPECT_TRUE(EchoService::Stub(*shared).Echo(RequestOf("after")).ok());
  EXPECT_EQ(shared->counts().connects, 1);
  EXPECT_TRUE(EchoService::Stub(*to_other).Echo(RequestOf("after")).ok());
  shared.reset();
  ExpectTheParentGoesOn();
  EXPECT_TRUE(EchoService::Stub(*ChannelTo(address)).Echo(RequestOf("anew")).ok());
}

TEST_F(Fork, ServersOfTheParentAreRefusedInTheChild) {
  Server idle;
  HookedEcho other;
  EXPECT_THAT(InChild([&] { return Of(idle.Register(other)) + Of(idle.Start("127.0.0.1:0")); }),
              AllOf(HasSubstr("[FAILED_PRECONDITION: server: "), IsRefusal()));
  const auto runtime = RuntimeOf();
  EXPECT_THAT(InChild([&] {
                ServerOptions options;
                options.runtime = runtime;
                Server server(std::move(options));
                ChannelOptions channel;
                channel.runtime = runtime;
                return Of(server.Start("127.0.0.1:0")) +
                       Of(Channel::Create("127.0.0.1:1", std::move(channel)).status());
              }),
              AllOf(HasSubstr("[FAILED_PRECONDITION: runtime: "),
                    HasSubstr("[FAILED_PRECONDITION: channel to 127.0.0.1:1: its runtime: ")));
}

// Forked while the parent has no threads: the thread sanitizer cannot follow a child that starts
// some otherwise.
TEST(ForkedChild, MayMakeItsOwn) {
  HookedEcho service;
  {
    TestServer server(service);
    ASSERT_TRUE(EchoService::Stub(*server.Connect()).Echo(RequestOf("in the parent")).ok());
  }
  Server idle;
  EXPECT_EQ(InChild([&] {
              if (idle.Register(service).ok()) return std::string("not refused");
              std::string all;
              {
                Server server;
                all += Of(server.Register(service));
                all += Of(server.Start("127.0.0.1:0"));
                const auto own = Channel::Create(server.addresses().at(0));
                if (!own.ok()) return Of(own.status());
                all += Of(EchoService::Stub(**own).Echo(RequestOf("in the child")).status());
              }
              return all;
            }),
            "[OK][OK][OK]");
}

TEST_F(Fork, CancellingInTheChildIsNothingToTheParent) {
  EchoResult result;
  ClientContext context;
  stub_.HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration(), .context = &context},
                  Into(result));
  ASSERT_TRUE(service_.hanging.WaitForValue(1));
  EXPECT_EQ(InChild([&] {
              context.Cancel();
              return std::string();
            }),
            "");
  service_.release.Notify();
  EXPECT_TRUE(result.Wait().ok()) << result.Wait().status();
  EXPECT_EQ(service_.seen_cancelled.Get(), 0);
  ExpectTheParentGoesOn();
}

TEST_F(Fork, WhatTheChildAnswersIsNobodys) {
  AnsweringEcho answering;
  TestServer server(answering);
  const auto channel = server.Connect();
  EchoResult result;
  EchoService::Stub(*channel).HangAsync(RequestOf("x"), {.timeout = absl::InfiniteDuration()},
                                        Into(result));
  ASSERT_TRUE(answering.hanging.WaitForValue(1));
  EXPECT_EQ(InChild([&] {
              answering.Release();
              return std::string();
            }),
            "");
  EXPECT_EQ(result.count(), 0u);
  answering.Release();
  EXPECT_TRUE(result.Wait().ok()) << result.Wait().status();
}

TEST_F(Fork, InsideAHandlerAndInsideACallback) {
  std::string by_handler;
  service_.echo = [&](ServerContext&, EchoRequest& request, EchoReply& reply) {
    if (request.text() == "fork") {
      by_handler = InChild([&] { return Of(stub_.Echo(RequestOf("x")).status()); });
    }
    FillEcho(request, &reply);
    return absl::OkStatus();
  };
  ASSERT_TRUE(stub_.Echo(RequestOf("fork")).ok());
  EXPECT_THAT(by_handler, IsRefusal());
  ASSERT_TRUE(stub_.EchoInline(RequestOf("fork")).ok());
  // On the loop a blocking call is refused in any case. The text is not looked at.
  EXPECT_THAT(by_handler, HasSubstr("FAILED_PRECONDITION"));

  Awaited<std::string> by_callback;
  stub_.EchoAsync(RequestOf("x"), {}, [&](absl::StatusOr<EchoReply>) {
    by_callback.Add(InChild([&] {
      std::string all;
      stub_.EchoAsync(RequestOf("x"), {},
                      [&](absl::StatusOr<EchoReply> r) { all += Of(r.status()); });
      channel_.reset();
      return all;
    }));
  });
  EXPECT_THAT(by_callback.Wait(), IsRefusal());
  ExpectTheParentGoesOn();
}

TEST_F(Fork, TheChildOfAChildIsRefusedLikewise) {
  EXPECT_THAT(
      InChild([&] { return InChild([&] { return Of(stub_.Echo(RequestOf("x")).status()); }); }),
      IsRefusal());
}

// Numbers of open descriptors; with `inherited`, of those that survive exec.
std::set<std::string> Descriptors(bool inherited) {
  std::set<std::string> numbers;
  DIR* const dir = ::opendir("/proc/self/fd");
  for (const dirent* entry; (entry = ::readdir(dir)) != nullptr;) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == ::dirfd(dir)) continue;
    if (!inherited || (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) numbers.insert(entry->d_name);
  }
  ::closedir(dir);
  return numbers;
}

TEST(ForkAndExec, FindsNoDescriptorOfOurs) {
  const std::set<std::string> foreign = Descriptors(/*inherited=*/true);
  const size_t before = Descriptors(/*inherited=*/false).size();
  HookedEcho service;
  TestServer tcp(service), unix_server(service, Family::kUnix);
  const auto one = tcp.Connect(), two = unix_server.Connect();
  ASSERT_TRUE(EchoService::Stub(*one).Echo(RequestOf("x")).ok());
  ASSERT_TRUE(EchoService::Stub(*two).Echo(RequestOf("x")).ok());
  // There is something to find: loops, listeners and connections are open.
  EXPECT_GE(Descriptors(/*inherited=*/false).size(), before + 8);

  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl("/bin/ls", "ls", "-1", "/proc/self/fd", nullptr);
    ::_exit(127);
  }
  ASSERT_GT(pid, 0);
  ::close(ends[1]);
  const std::string listed = ReadAll(ends[0]);
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  std::set<std::string> numbers;
  for (size_t at = 0; at < listed.size();) {
    const size_t end = std::min(listed.find('\n', at), listed.size());
    if (end > at) numbers.insert(listed.substr(at, end - at));
    at = end + 1;
  }
  for (const std::string& number : foreign) numbers.erase(number);
  numbers.erase("1");
  // The one descriptor left is the folder that ls reads.
  EXPECT_LE(numbers.size(), 1u) << listed;
}

}  // namespace
}  // namespace weft::test
