// A watch of a file by inotify, in a directory of the test's: all that may become of a file, of the
// links on the way to it, and of its directories.
#include "weft/core/file_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/process_resources.h"
#include "tests/support/temp_dir.h"

namespace weft::internal {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// The kernel has queued its events when the call that causes them returns. Settle waits for two
// whole turns of the loop, after which the watch has told them.
class FileWatchTest : public testing::Test {
 protected:
  ~FileWatchTest() override {
    thread_.Run([&] { watch_.reset(); });
  }
  absl::Status Watch(const std::string& path) {
    absl::Status status;
    thread_.Run([&] {
      watch_ = std::make_unique<FileWatch>(thread_.loop(), path, [this](FileWatch::Change change) {
        said_ += change == FileWatch::Change::kReplaced ? 'r' : 't';
      });
      status = watch_->Follow();
    });
    return status;
  }
  absl::Status Follow() {
    absl::Status status;
    thread_.Run([&] { status = watch_->Follow(); });
    return status;
  }
  // Returns the events since the last call: r for replaced, t for touched.
  std::string Said() {
    thread_.Settle();
    std::string said;
    thread_.Run([&] { said.swap(said_); });
    return said;
  }
  static void Write(const std::string& path, const std::string& text = "x") {
    std::ofstream(path) << text;
  }

  const TempDir dir_;
  const std::string path_ = dir_.path() + "/file";
  LoopThread thread_;
  std::string said_;                  // the loop's
  std::unique_ptr<FileWatch> watch_;  // used on the loop only
};

TEST_F(FileWatchTest, TellsWhatBecomesOfAFile) {
  Write(path_);
  ASSERT_TRUE(Watch(path_).ok());
  EXPECT_EQ(Said(), "");
  Write(path_ + ".new");
  EXPECT_EQ(Said(), "") << "other names are none of its business";
  fs::rename(path_ + ".new", path_);
  EXPECT_EQ(Said(), "r");
  const int file = ::open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  EXPECT_EQ(Said(), "t");
  EXPECT_EQ(::write(file, "x", 1), 1);
  EXPECT_EQ(Said(), "t");
  ::close(file);
  EXPECT_EQ(Said(), "t");
  ::chmod(path_.c_str(), 0600);
  EXPECT_EQ(Said(), "t");
  fs::remove(path_);
  EXPECT_EQ(Said(), "t");
  Write(path_);
  // The file is created, written and closed: these events may come in one turn or in several.
  EXPECT_THAT(Said(), HasSubstr("t"));
  fs::rename(path_, path_ + ".old");
  EXPECT_EQ(Said(), "t");
  fs::create_hard_link(path_ + ".old", path_);
  EXPECT_EQ(Said(), "t");
}

TEST_F(FileWatchTest, DoesNotTellOfReaders) {
  Write(path_);
  ASSERT_TRUE(Watch(path_).ok());
  std::string text;
  std::ifstream(path_) >> text;
  EXPECT_EQ(Said(), "");
}

TEST_F(FileWatchTest, TellsOnceForWhatComesTogetherAsTheLastSays) {
  Write(path_);
  ASSERT_TRUE(Watch(path_).ok());
  thread_.Run([&] {  // holds up the loop while the events gather
    // More events than one read of the descriptor gives.
    for (int i = 0; i < 1000; ++i) {
      Write(path_ + ".new");
      fs::rename(path_ + ".new", path_);
    }
  });
  EXPECT_EQ(Said(), "r");
  thread_.Run([&] {
    Write(path_ + ".new");
    fs::rename(path_ + ".new", path_);
    fs::remove(path_);
  });
  EXPECT_EQ(Said(), "t");
}

TEST_F(FileWatchTest, FollowsEachLinkOnTheWay) {
  fs::create_directories(dir_.path() + "/far/one");
  fs::create_directories(dir_.path() + "/far/two");
  fs::create_directories(dir_.path() + "/near");
  Write(dir_.path() + "/far/one/file");
  Write(dir_.path() + "/far/two/file");
  // near/file ─► ../far/now/file, far/now ─► one; and the path comes through a link with an
  // absolute target.
  fs::create_symlink("../far/now/file", dir_.path() + "/near/file");
  fs::create_symlink("one", dir_.path() + "/far/now");
  fs::create_symlink(dir_.path() + "/near", dir_.path() + "/here");
  ASSERT_TRUE(Watch(dir_.path() + "/here/./file").ok());
  Write(dir_.path() + "/far/one/file");
  EXPECT_THAT(Said(), HasSubstr("t")) << "the file itself";
  fs::create_symlink("two", dir_.path() + "/far/.now");
  fs::rename(dir_.path() + "/far/.now", dir_.path() + "/far/now");
  EXPECT_EQ(Said(), "r") << "a link in the middle";
  // The old way stays watched until Follow is called.
  ASSERT_TRUE(Follow().ok());
  Write(dir_.path() + "/far/one/file");
  EXPECT_EQ(Said(), "") << "is not on the way any more";
  Write(dir_.path() + "/far/two/file");
  EXPECT_THAT(Said(), HasSubstr("t"));
  fs::remove(dir_.path() + "/here");
  EXPECT_EQ(Said(), "t") << "the first link";
}

TEST_F(FileWatchTest, WaitsForDirectoriesThatAreNotThereYet) {
  ASSERT_TRUE(Watch(dir_.path() + "/a/b/file").ok());
  fs::create_directory(dir_.path() + "/a");
  EXPECT_EQ(Said(), "t");
  ASSERT_TRUE(Follow().ok());
  fs::create_directory(dir_.path() + "/a/b");
  EXPECT_EQ(Said(), "t");
  ASSERT_TRUE(Follow().ok());
  Write(dir_.path() + "/a/b/file");
  EXPECT_THAT(Said(), HasSubstr("t"));
}

TEST_F(FileWatchTest, TellsWhenItsDirectoryGoes) {
  // Follow watches the parent for this name while it is missing.
  fs::create_directory(dir_.path() + "/a");
  Write(dir_.path() + "/a/file");
  ASSERT_TRUE(Watch(dir_.path() + "/a/file").ok());
  fs::rename(dir_.path() + "/a", dir_.path() + "/old");
  EXPECT_EQ(Said(), "t");
  ASSERT_TRUE(Follow().ok());
  // The old directory is not watched any more, whatever its name.
  Write(dir_.path() + "/old/file");
  EXPECT_EQ(Said(), "");
  fs::create_directory(dir_.path() + "/a");
  EXPECT_EQ(Said(), "t");
  ASSERT_TRUE(Follow().ok());
  fs::remove_all(dir_.path() + "/a");
  EXPECT_THAT(Said(), HasSubstr("t"));
}

TEST_F(FileWatchTest, EndsWhereLinksGoRound) {
  fs::create_symlink("file", path_);
  EXPECT_THAT(Watch(path_).message(), HasSubstr("too many links"));
  fs::remove(path_);
  fs::create_directory(dir_.path() + "/deeper");
  fs::create_symlink("deeper/../file/x", path_);
  EXPECT_THAT(Follow().message(), HasSubstr("too many links")) << "one that grows";
}

TEST_F(FileWatchTest, MayEndInsideItsCallback) {
  // Two writes make at least two events. The second event finds no watch.
  Write(path_);
  int told = 0;
  thread_.Run([&] {
    watch_ = std::make_unique<FileWatch>(thread_.loop(), path_, [&](FileWatch::Change) {
      ++told;
      watch_.reset();
    });
    EXPECT_TRUE(watch_->Follow().ok());
  });
  Write(path_);
  Write(path_);
  thread_.Settle();
  thread_.Run([&] { EXPECT_EQ(told, 1); });
}

TEST_F(FileWatchTest, SaysWhichLimitKeepsItFromWatching) {
  Write(path_);
  absl::Status status;
  thread_.Run([&] {
    // Take the descriptors inside a turn of the loop, so that the loop itself needs none meanwhile.
    const FewDescriptors none(0);
    watch_ = std::make_unique<FileWatch>(thread_.loop(), path_, [](FileWatch::Change) {});
    status = watch_->Follow();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(Follow().ok()) << "and begins when it can";
}

TEST_F(FileWatchTest, LeavesNoDescriptorBehind) {
  Write(path_);
  const int before = OpenDescriptors();
  ASSERT_TRUE(Watch(path_).ok());
  EXPECT_EQ(OpenDescriptors(), before + 1);
  thread_.Run([&] { watch_.reset(); });
  EXPECT_EQ(OpenDescriptors(), before);
}

}  // namespace
}  // namespace weft::internal
