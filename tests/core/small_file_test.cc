// Small files that are read whole, or refused; and stamps that tell their states apart.
#include "weft/core/small_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace weft::internal {
namespace {

using ::testing::HasSubstr;

class SmallFileTest : public testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  absl::Status WhyNot(size_t max_bytes = 1000) {
    return SmallFile::Read(path_, max_bytes).status();
  }

  const TempDir dir_;
  const std::string path_ = dir_.path() + "/file";
};

TEST_F(SmallFileTest, IsReadWhole) {
  // A read takes 64 KiB: the sizes are exactly that, a byte more, and exactly the limit.
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{64} << 10, (size_t{64} << 10) + 1, size_t{1} << 20}) {
    const std::string text(size, 'x');
    Write(text);
    const absl::StatusOr<std::string> read = SmallFile::Read(path_, size_t{1} << 20);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, text);
  }
}

TEST_F(SmallFileTest, IsRefusedBeyondItsLimit) {
  Write(std::string(100, 'x'));
  EXPECT_TRUE(SmallFile::Read(path_, 100).ok());
  EXPECT_EQ(WhyNot(99).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(WhyNot(99).message(), HasSubstr(path_ + " is too large (limit 99 bytes)"));
}

TEST_F(SmallFileTest, OfUnknownSizeHasTheSameLimit) {
  // Files of /proc report size 0 although they have content.
  const absl::StatusOr<std::string> read = SmallFile::Read("/proc/self/maps", size_t{4} << 20);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, HasSubstr("[stack]"));
  EXPECT_THAT(SmallFile::Read("/proc/self/maps", 100).status().message(), HasSubstr("too large"));
}

TEST_F(SmallFileTest, SaysWhatStandsInItsPlace) {
  EXPECT_EQ(WhyNot().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(WhyNot().message(), HasSubstr(path_));
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(WhyNot().message(), HasSubstr("no regular file")) << "and does not wait for a writer";
  ::unlink(path_.c_str());
  std::filesystem::create_directory(path_);
  EXPECT_THAT(WhyNot().message(), HasSubstr("no regular file"));
}

TEST_F(SmallFileTest, HasAnotherStampWithEachReplacementAndEachWrite) {
  const SmallFile::Stamp none = SmallFile::StampOf(path_);
  EXPECT_EQ(none.error, ENOENT);
  EXPECT_TRUE(none == SmallFile::StampOf(path_));
  Write("one");
  const SmallFile::Stamp one = SmallFile::StampOf(path_);
  EXPECT_EQ(one.error, 0);
  EXPECT_EQ(one.size, 3u);
  EXPECT_FALSE(one == none);
  EXPECT_TRUE(one == SmallFile::StampOf(path_));
  // The size changes, since both writes may fall into one tick of the file system's clock.
  Write("four");
  EXPECT_FALSE(one == SmallFile::StampOf(path_));
  std::ofstream(path_ + ".new") << "one";
  std::filesystem::rename(path_ + ".new", path_);
  EXPECT_FALSE(one == SmallFile::StampOf(path_)) << "another file of the same size";
}

TEST_F(SmallFileTest, IsFollowedThroughLinks) {
  std::ofstream(dir_.path() + "/far") << "text";
  std::filesystem::create_symlink("far", path_);
  EXPECT_EQ(*SmallFile::Read(path_, 100), "text");
  EXPECT_TRUE(SmallFile::StampOf(path_) == SmallFile::StampOf(dir_.path() + "/far"));
}

}  // namespace
}  // namespace weft::internal
