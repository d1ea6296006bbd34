// A log sink that must never hold up its writer: over pipes, sockets, a terminal and files that
// take nothing more, and with signals at their default, which would end this process.
#include "weft/core/stderr_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process_resources.h"

namespace weft::internal {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

struct Ends {
  ~Ends() {
    for (const int fd : {reader, writer}) {
      if (fd >= 0) ::close(fd);
    }
  }
  int reader = -1, writer = -1;
};

void OpenPipe(Ends* ends) {
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  ends->reader = fds[0];
  ends->writer = fds[1];
}

// Reads all that is there at this moment.
std::string ReadAll(int fd) {
  std::string all;
  char buffer[4096];
  for (;;) {
    pollfd more{fd, POLLIN, 0};
    if (::poll(&more, 1, 0) != 1 || (more.revents & POLLIN) == 0) return all;
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return all;
    all.append(buffer, static_cast<size_t>(n));
  }
}

// Writes more lines than any of the ends holds. Each line is written or left out, and none waits.
void WriteUntilFull(StderrSink& sink, int lines = 3'000) {
  for (int i = 0; i < lines; ++i) sink.Write(LogLevel::kInfo, std::string(200, 'x'));
}

void ExpectFullThenToldOf(int writer, int reader) {
  StderrSink sink(writer);
  WriteUntilFull(sink);
  const int64_t left_out = sink.left_out();
  EXPECT_GT(left_out, 0);
  ReadAll(reader);
  sink.Write(LogLevel::kWarning, "room again");
  EXPECT_EQ(sink.left_out(), 0);
  const std::string text = ReadAll(reader);
  EXPECT_THAT(text, HasSubstr(std::to_string(left_out) + " lines were left out"));
  EXPECT_THAT(text, HasSubstr("room again\n"));
}

TEST(StderrSink, WritesTimeLevelAndThreadBeforeTheLine) {
  Ends pipe;
  OpenPipe(&pipe);
  StderrSink sink(pipe.writer);
  sink.Write(LogLevel::kWarning, "a line with {} %s");
  EXPECT_THAT(ReadAll(pipe.reader),
              ContainsRegex("^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6} W "
                            "weft\\[[0-9]+\\] a line with \\{\\} %s\n$"));
}

TEST(StderrSink, DoesNotWaitForAPipeThatNobodyReads) {
  Ends pipe;
  OpenPipe(&pipe);
  ExpectFullThenToldOf(pipe.writer, pipe.reader);
  EXPECT_EQ(::fcntl(pipe.writer, F_GETFL) & O_NONBLOCK, 0) << "the flag is shared with others";
}

// A lack of descriptors is a time at which a server logs.
TEST(StderrSink, DoesNotWaitWhereNoDescriptorIsLeft) {
  Ends pipe;
  OpenPipe(&pipe);
  const FewDescriptors none(0);
  // The sink cannot open the pipe anew, so poll has to say whether there is room.
  ExpectFullThenToldOf(pipe.writer, pipe.reader);
}

TEST(StderrSink, DoesNotWaitForASocketThatNobodyReads) {
  Ends sockets;
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  sockets.reader = fds[0];
  sockets.writer = fds[1];
  ExpectFullThenToldOf(sockets.writer, sockets.reader);
}

TEST(StderrSink, DoesNotWaitForATerminalThatNobodyReads) {
  Ends terminal;
  terminal.reader = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(terminal.reader, 0);
  ASSERT_EQ(::grantpt(terminal.reader), 0);
  ASSERT_EQ(::unlockpt(terminal.reader), 0);
  char name[64];
  ASSERT_EQ(::ptsname_r(terminal.reader, name, sizeof name), 0);
  terminal.writer = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(terminal.writer, 0);
  StderrSink sink(terminal.writer);
  WriteUntilFull(sink);
  EXPECT_GT(sink.left_out(), 0);
  ASSERT_EQ(::tcflow(terminal.writer, TCOOFF), 0);  // as Ctrl-S does
  // A halted terminal takes nothing, although it would have room.
  WriteUntilFull(sink, 10);
  EXPECT_EQ(::fcntl(terminal.writer, F_GETFL) & O_NONBLOCK, 0);
}

TEST(StderrSink, RaisesNoSignalWhereTheReaderHasGone) {
  ASSERT_NE(::signal(SIGPIPE, SIG_DFL), SIG_ERR);
  // With descriptors left, the sink can open the pipe anew; without, it has only the descriptor it
  // was given.
  for (const int left : {8, 0}) {
    Ends pipe;
    OpenPipe(&pipe);
    ::close(std::exchange(pipe.reader, -1));
    StderrSink sink(pipe.writer);
    const FewDescriptors few(left);
    sink.Write(LogLevel::kError, "to nobody");
    EXPECT_EQ(sink.left_out(), 1);
  }
  sigset_t pending;
  ::sigpending(&pending);
  // No signal is pending either.
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

TEST(StderrSink, WritesToAFileAtItsEnd) {
  char path[] = "/tmp/weft-stderr-XXXXXX";
  Ends file;
  file.reader = ::mkostemp(path, O_CLOEXEC);
  ASSERT_GE(file.reader, 0);
  file.writer = ::open(path, O_WRONLY | O_CLOEXEC);
  ::unlink(path);
  ASSERT_EQ(::write(file.writer, "before\n", 7), 7);
  StderrSink sink(file.writer);
  sink.Write(LogLevel::kError, "behind it");
  char buffer[256] = {};
  EXPECT_GT(::read(file.reader, buffer, sizeof buffer - 1), 0);
  EXPECT_THAT(std::string(buffer), ContainsRegex("^before\n2.*E weft.*behind it\n$"));
}

TEST(StderrSink, RaisesNoSignalWhereItsFileMayNotGrow) {
  ASSERT_NE(::signal(SIGXFSZ, SIG_DFL), SIG_ERR);
  char path[] = "/tmp/weft-stderr-XXXXXX";
  Ends file;
  file.writer = ::mkostemp(path, O_CLOEXEC);
  ASSERT_GE(file.writer, 0);
  ::unlink(path);
  StderrSink sink(file.writer);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit none = before;
  // With this limit a write raises SIGXFSZ.
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  sink.Write(LogLevel::kError, "too much");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(sink.left_out(), 1);
}

TEST(StderrSink, CutsWhatAPipeWouldNotTakeAsAWhole) {
  Ends pipe;
  OpenPipe(&pipe);
  StderrSink sink(pipe.writer);
  sink.Write(LogLevel::kError, std::string(100'000, 'y'));
  const std::string text = ReadAll(pipe.reader);
  // The limit is PIPE_BUF: a write of that size is not mixed with another's.
  EXPECT_EQ(text.size(), 4096u);
  EXPECT_EQ(text.back(), '\n');
}

TEST(StderrSink, CountsWhatAClosedDescriptorDoesNotTake) {
  Ends pipe;
  OpenPipe(&pipe);
  StderrSink sink(pipe.writer);
  ::close(std::exchange(pipe.writer, -1));
  sink.Write(LogLevel::kError, "lost");
  EXPECT_EQ(sink.left_out(), 1);
  EXPECT_THAT(ReadAll(pipe.reader), Not(HasSubstr("lost")));
}

}  // namespace
}  // namespace weft::internal
