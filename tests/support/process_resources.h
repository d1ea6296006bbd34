// Counts this process's descriptors and threads, and makes a process that has few descriptors left,
// no threads, or hardly any memory.
//
// Threads  the test's own; what it starts meanwhile sees the same lack
#ifndef WEFT_TESTS_SUPPORT_PROCESS_RESOURCES_H_
#define WEFT_TESTS_SUPPORT_PROCESS_RESOURCES_H_

#include <sys/resource.h>

#include <cstddef>
#include <vector>

namespace weft {

// Open descriptors; the one it takes to look is not counted.
int OpenDescriptors();
// Threads that have not ended, this one included.
int RunningThreads();
// False: they still did not equal that many when the patience of tests was over. A thread that was
// joined may be listed for a moment more.
bool HasThreads(int expected);

// While it lives exactly `left` descriptors can be had.
class FewDescriptors {
 public:
  explicit FewDescriptors(int left);
  ~FewDescriptors();
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
  std::vector<int> held_;
};

// While it lives no thread can be started in this process, by any of its threads: a stack would not
// fit into its addresses.
class NoThreads {
 public:
  NoThreads();
  ~NoThreads();
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  size_t before_ = 0;
};

// While it lives this process can map `room` bytes more, and no others: what malloc asks the kernel
// for beyond that it does not get. Not for sanitizers, which map what they like.
class FewAddresses {
 public:
  explicit FewAddresses(size_t room);
  ~FewAddresses();
  FewAddresses(const FewAddresses&) = delete;
  FewAddresses& operator=(const FewAddresses&) = delete;

 private:
  rlimit before_{};
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_PROCESS_RESOURCES_H_
