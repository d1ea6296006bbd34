// A server process that is killed: every call on it ends, and says whether it may have been
// executed.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/integration/stack.h"

extern char** environ;

namespace weft::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

// killed_server.cc, which stands beside this program.
class Child {
 public:
  explicit Child(std::string address) {
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
    std::string program = (self.parent_path() / "killed_server").string();
    char* arguments[] = {program.data(), address.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments, environ), 0);
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
  const std::string address = absl::StrCat("unix:", dir.path(), "/s");
  Child child(address);
  auto channel = ChannelTo(address);
  EchoService::Stub stub(*channel);
  // The child takes a moment to listen.
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
  // An answer behind them on the same connection says that all have been sent. It is inline because
  // every worker hangs.
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
