#include "tests/support/process_resources.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include <gtest/gtest.h>

#include "tests/support/watched.h"

namespace weft {
namespace {

int EntriesOf(const char* path) {
  DIR* const folder = ::opendir(path);
  if (folder == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = ::readdir(folder)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(folder);
  return count;
}

}  // namespace

// One of the entries is the folder's own descriptor.
int OpenDescriptors() { return EntriesOf("/proc/self/fd") - 1; }

int RunningThreads() { return EntriesOf("/proc/self/task"); }

bool HasThreads(int expected) {
#if defined(__SANITIZE_THREAD__)
  const int its_own = 1;  // the sanitizer's, which starts with the process's first thread
#else
  const int its_own = 0;
#endif
  return PollUntil([&] {
    const int running = RunningThreads();
    return running >= expected && running <= expected + its_own;
  });
}

FewDescriptors::FewDescriptors(int left) {
  EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
  rlimit low = before_;
  // A low limit first, or filling the table would take as long as the machine's limit is high.
  low.rlim_cur = 512;
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) held_.push_back(fd);
  for (int i = 0; i < left && !held_.empty(); ++i) {
    ::close(held_.back());
    held_.pop_back();
  }
}

FewDescriptors::~FewDescriptors() {
  for (const int fd : held_) ::close(fd);
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0);
}

FewAddresses::FewAddresses(size_t room) {
  long pages = 0;
  FILE* const file = std::fopen("/proc/self/statm", "r");
  EXPECT_TRUE(file != nullptr && std::fscanf(file, "%ld", &pages) == 1);
  if (file != nullptr) std::fclose(file);
  EXPECT_EQ(::getrlimit(RLIMIT_AS, &before_), 0);
  rlimit low = before_;
  low.rlim_cur = static_cast<rlim_t>(pages) * static_cast<rlim_t>(::getpagesize()) + room;
  EXPECT_EQ(::setrlimit(RLIMIT_AS, &low), 0);
}

FewAddresses::~FewAddresses() { EXPECT_EQ(::setrlimit(RLIMIT_AS, &before_), 0); }

NoThreads::NoThreads() {
  pthread_attr_t attributes;
  EXPECT_EQ(::pthread_getattr_default_np(&attributes), 0);
  EXPECT_EQ(::pthread_attr_getstacksize(&attributes, &before_), 0);
  // A stack as large as the whole address space: no thread can be started, and nothing else fails.
  EXPECT_EQ(::pthread_attr_setstacksize(&attributes, size_t{1} << 47), 0);
  EXPECT_EQ(::pthread_setattr_default_np(&attributes), 0);
  ::pthread_attr_destroy(&attributes);
}

NoThreads::~NoThreads() {
  pthread_attr_t attributes;
  EXPECT_EQ(::pthread_getattr_default_np(&attributes), 0);
  EXPECT_EQ(::pthread_attr_setstacksize(&attributes, before_), 0);
  EXPECT_EQ(::pthread_setattr_default_np(&attributes), 0);
  ::pthread_attr_destroy(&attributes);
}

}  // namespace weft
