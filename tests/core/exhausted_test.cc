// The texts that name the limit a machine has met, each for the errno that a system call gives.
#include "weft/core/exhausted.h"

#include <errno.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Exhausted, NamesTheLimitOfDescriptorsThatWasMet) {
  const struct {
    int error;
    const char* limit;
  } rows[] = {{EMFILE, "(RLIMIT_NOFILE of this process: "},
              {ENFILE, "(fs.file-max of the machine"},
              {ENOMEM, "Cannot allocate memory"},
              {ENOBUFS, "No buffer space"}};
  for (const auto& row : rows) {
    const absl::Status status = Exhausted::Descriptors(row.error, "cannot listen");
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("cannot listen: "), HasSubstr(row.limit)));
  }
}

TEST(Exhausted, LeavesOtherFaultsWhatTheyAre) {
  const absl::Status status = Exhausted::Descriptors(EADDRINUSE, "cannot listen");
  EXPECT_FALSE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("cannot listen"), HasSubstr("in use")));
}

TEST(Exhausted, NamesEachLimitOfThreads) {
  for (const int error : {EAGAIN, ENOMEM}) {
    const absl::Status status = Exhausted::Threads(error, "cannot start thread x");
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("cannot start thread x: "), HasSubstr("RLIMIT_NPROC "),
                      HasSubstr("pids.max"), HasSubstr("RLIMIT_AS "), Not(HasSubstr("unknown"))));
  }
}

}  // namespace
}  // namespace weft::internal
