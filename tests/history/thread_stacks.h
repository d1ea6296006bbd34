// Where each thread of this process stands, for people: for when it hangs.
//
//   asking thread ──signal──► each thread in turn: notes its return addresses, goes on
//
// Names and lines are addr2line's where it is installed; else there are offsets into the programs,
// for addr2line elsewhere. A thread that does not answer, for it is in the kernel's hands or a
// sanitizer keeps the signal back, is named without a stack.
//
// Threads  one at a time; from the first PrepareThreadStacks on, SIGUSR2 belongs to it
#ifndef WEFT_TESTS_HISTORY_THREAD_STACKS_H_
#define WEFT_TESTS_HISTORY_THREAD_STACKS_H_

#include <string>

namespace weft::test {

// Early, while nothing hangs: what a first stack needs is loaded then.
void PrepareThreadStacks();

std::string ThreadStacks();

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_THREAD_STACKS_H_
