// Files of unix sockets in a folder of the test's: the owner of a file, the files that may be
// replaced, and the files that may be removed.
#include "weft/core/unix_socket_file.h"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "weft/core/socket.h"

namespace weft::internal {
namespace {

SocketAddress Address(const std::string& path) {
  absl::StatusOr<SocketAddress> address = SocketAddress::Parse("unix:" + path);
  EXPECT_TRUE(address.ok()) << address.status();
  return *address;
}

Socket NewSocket() {
  return Socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// A bound socket and its file. The socket may be listening or not.
struct Bound {
  Socket socket;
  UnixSocketFile file;
};

Bound Bind(const std::string& path, mode_t mode = 0, bool listen = true) {
  Bound bound{NewSocket(), {}};
  absl::StatusOr<UnixSocketFile> file =
      UnixSocketFile::Bind(bound.socket.fd(), Address(path), mode);
  EXPECT_TRUE(file.ok()) << file.status();
  if (file.ok()) bound.file = *std::move(file);
  if (listen) {
    EXPECT_EQ(::listen(bound.socket.fd(), 4), 0);
  }
  return bound;
}

UnixSocketFile::Identity Identity(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return {info.st_dev, info.st_ino};
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::vector<std::string> FilesIn(const std::string& folder) {
  std::vector<std::string> names;
  DIR* const open = ::opendir(folder.c_str());
  while (const dirent* entry = ::readdir(open)) {
    // Skip hidden names, except those of files that were put aside (".weft-…").
    if (entry->d_name[0] != '.' || entry->d_name[1] == 'w') names.emplace_back(entry->d_name);
  }
  ::closedir(open);
  return names;
}

bool Connects(const std::string& path) {
  bool connected = false;
  return Socket::StartConnect(Address(path), &connected).ok() && connected;
}

// Restores the working directory after a test that changes it.
class WorkingDirectory {
 public:
  WorkingDirectory() : old_(::getcwd(nullptr, 0)) {}
  ~WorkingDirectory() {
    EXPECT_EQ(::chdir(old_), 0);
    ::free(old_);
  }
  void Change(const std::string& to) { ASSERT_EQ(::chdir(to.c_str()), 0); }

 private:
  char* const old_;
};

TEST(UnixSocketFile, IsRemovedWithItsOwner) {
  const TempDir dir;
  { const Bound bound = Bind(dir.path() + "/s"); }
  EXPECT_TRUE(FilesIn(dir.path()).empty());
}

TEST(UnixSocketFile, StaysWhenItIsLeft) {
  const TempDir dir;
  Bind(dir.path() + "/s").file.Leave();
  EXPECT_TRUE(Exists(dir.path() + "/s"));
}

TEST(UnixSocketFile, LeavesTheFileThatWasRenamedOverIt) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  Bound old_one = Bind(path);
  const Bound new_one = Bind(path + ".new");
  ASSERT_EQ(::rename((path + ".new").c_str(), path.c_str()), 0);
  old_one.file.Remove();
  EXPECT_TRUE(Connects(path));
}

TEST(UnixSocketFile, LeavesTheFileThatWasBoundAfterItsOwnWasUnlinked) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  Bound old_one = Bind(path);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  const Bound new_one = Bind(path);
  // The old socket is still open, so the new file cannot have got its inode.
  old_one.file.Remove();
  EXPECT_TRUE(Connects(path));
}

TEST(UnixSocketFile, PutsBackAFileThatTookItsPlaceWhileItLooked) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  const Bound old_one = Bind(dir.path() + "/old");
  const Bound new_one = Bind(path);
  // The identity is another file's, as if the name had been taken over after the look.
  UnixSocketFile::TakeAway(path, Identity(dir.path() + "/old"));
  EXPECT_TRUE(Connects(path));
  EXPECT_EQ(FilesIn(dir.path()).size(), 2u) << "nothing stays aside";
  UnixSocketFile::TakeAway(path, Identity(path));
  EXPECT_FALSE(Exists(path));
}

TEST(UnixSocketFile, IsFoundAgainAfterAChangeOfTheWorkingDirectory) {
  const TempDir dir, elsewhere;
  WorkingDirectory working;
  working.Change(dir.path());
  Bound bound = Bind("s");
  EXPECT_EQ(bound.file.path(), dir.path() + "/s");
  working.Change(elsewhere.path());
  // This file has the same relative name in the new directory.
  const Bound namesake = Bind("s");
  bound.file.Remove();
  EXPECT_FALSE(Exists(dir.path() + "/s"));
  EXPECT_TRUE(Exists(elsewhere.path() + "/s"));
}

TEST(UnixSocketFile, ReplacesOneWhoseSocketIsGone) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  Bind(path).file.Leave();
  const Bound again = Bind(path);
  EXPECT_TRUE(Connects(path));
  EXPECT_EQ(FilesIn(dir.path()).size(), 1u);
}

// The first socket is bound and does not listen yet: a connect is refused, as from a dead socket.
TEST(UnixSocketFile, IsNotReplacedBetweenItsBindAndItsListen) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  const Bound first = Bind(path, 0, false);
  const Socket second = NewSocket();
  absl::StatusOr<UnixSocketFile> file = UnixSocketFile::Bind(second.fd(), Address(path), 0);
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.status().message().find("bind unix:" + path), absl::string_view::npos)
      << file.status();
  // The first socket goes on as if nobody had looked at its file.
  ASSERT_EQ(::listen(first.socket.fd(), 4), 0);
  EXPECT_TRUE(Connects(path));
}

TEST(UnixSocketFile, AProbeLeavesNoConnectionInTheQueueOfTheLiving) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  const Bound first = Bind(path);
  const Socket second = NewSocket();
  EXPECT_FALSE(UnixSocketFile::Bind(second.fd(), Address(path), 0).ok());
  // A probe by a stream socket would stand in this queue.
  EXPECT_EQ(::accept4(first.socket.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), -1);
  ASSERT_TRUE(Connects(path));
}

TEST(UnixSocketFile, HasItsModeBeforeItListens) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  for (const mode_t mode : {0600, 0660, 0666, 0777}) {
    const Bound bound = Bind(path, mode, false);
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777u, mode);
  }
}

TEST(UnixSocketFile, HasTheUmasksModeByDefault) {
  const TempDir dir;
  const std::string path = dir.path() + "/s";
  const mode_t mask = ::umask(0);
  ::umask(mask);
  const Bound bound = Bind(path);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0777u & ~mask);
}

TEST(UnixSocketFile, WorksWithTheLongestPathThereIs) {
  const TempDir dir;
  const std::string path =
      dir.path() + "/" + std::string(sizeof(sockaddr_un::sun_path) - 2 - dir.path().size(), 's');
  // The first file is left, so that the next socket has to put it aside under another name.
  Bind(path).file.Leave();
  Bound again = Bind(path, 0600);
  EXPECT_TRUE(Connects(path));
  again.file.Remove();
  EXPECT_TRUE(FilesIn(dir.path()).empty());
  // With a short name in a long folder, the name for files put aside is longer than an address
  // takes.
  const std::string folder =
      dir.path() + "/" + std::string(sizeof(sockaddr_un::sun_path) - 4 - dir.path().size(), 'd');
  ASSERT_EQ(::mkdir(folder.c_str(), 0700), 0);
  Bind(folder + "/s").file.Leave();
  const Bound replaced = Bind(folder + "/s");
  EXPECT_TRUE(Connects(folder + "/s"));
}

TEST(UnixSocketFile, AFolderThatIsNotThereIsAStatus) {
  const TempDir dir;
  const Socket socket = NewSocket();
  const absl::Status status =
      UnixSocketFile::Bind(socket.fd(), Address(dir.path() + "/none/s"), 0).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
}

}  // namespace
}  // namespace weft::internal
