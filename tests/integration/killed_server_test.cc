// A server process that is killed: every call on it ends, and says whether it may have been
// executed.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "tests/integration/stack.h"

extern char** environ;

namespace weft::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

constexpr const char* kSocket = "WEFT_TEST_KILLED_SERVER";

// The child's part: this program again, with this test alone.
TEST(KilledServer, DISABLED_Child) {
  const char* const path = std::getenv(kSocket);
  if (path == nullptr) GTEST_SKIP();
  HookedEcho service;
  Server server;
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Start(absl::StrCat("unix:", path)), absl::OkStatus());
  ::pause();
}

class Child {
 public:
  explicit Child(const std::string& socket) {
    std::string program = "/proc/self/exe";
    std::string filter = "--gtest_filter=KilledServer.DISABLED_Child";
    std::string disabled = "--gtest_also_run_disabled_tests";
    char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
    ::setenv(kSocket, socket.c_str(), 1);
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments, environ), 0);
    ::unsetenv(kSocket);
  }
  ~Child() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

TEST(KilledServer, EndsEveryCall) {
  TempDir dir;
  const std::string socket = absl::StrCat(dir.path(), "/s");
  Child child(socket);
  auto channel = ChannelTo(absl::StrCat("unix:", socket));
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(
      stub.Echo(RequestOf("hi"), {.timeout = absl::Seconds(30), .wait_for_ready = true}).ok());
  constexpr int kCalls = 20;
  EchoResult results;
  std::vector<std::unique_ptr<ClientContext>> contexts;
  for (int i = 0; i < kCalls; ++i) {
    contexts.push_back(std::make_unique<ClientContext>());
    stub.HangAsync(RequestOf("hi"),
                   {.timeout = absl::Seconds(60), .context = contexts.back().get()}, Into(results));
  }
  // All have been sent when a later one has been answered.
  ASSERT_TRUE(stub.EchoInline(RequestOf("hi"), {.timeout = absl::Seconds(30)}).ok());
  child.Kill();
  for (const absl::StatusOr<EchoReply>& result : results.WaitForAll(kCalls)) {
    EXPECT_THAT(result.status(),
                IsStatus(StatusCode::kUnavailable,
                         HasSubstr("the request was sent and may have been executed")));
  }
  for (const auto& context : contexts) EXPECT_TRUE(context->may_have_been_executed());
  ClientContext late;
  EXPECT_EQ(stub.Echo(RequestOf("hi"), {.context = &late}).status().code(),
            StatusCode::kUnavailable);
  EXPECT_FALSE(late.may_have_been_executed()) << "nobody is there";
}

}  // namespace
}  // namespace weft::test
