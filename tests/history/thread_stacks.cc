#include "tests/history/thread_stacks.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace weft::test {
namespace {

constexpr int kMaxFrames = 48;

// Filled by the signal handler of the thread that was asked.
struct Answer {
  std::atomic<int64_t> thread{0};  // who is asked
  std::array<void*, kMaxFrames> frames;
  int depth = 0;
  sem_t given;
};
Answer g_answer;

int64_t ThisThread() { return ::syscall(SYS_gettid); }

void OnSignal(int) {
  const int kept = errno;
  if (g_answer.thread.load() == ThisThread()) {
    g_answer.depth = ::backtrace(g_answer.frames.data(), kMaxFrames);
    ::sem_post(&g_answer.given);
  }
  errno = kept;
}

std::vector<int64_t> Threads() {
  std::vector<int64_t> threads;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    int64_t thread = 0;
    if (absl::SimpleAtoi(entry.path().filename().string(), &thread)) threads.push_back(thread);
  }
  return threads;
}

std::string NameOf(int64_t thread) {
  std::ifstream file(absl::StrCat("/proc/self/task/", thread, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

// Puts the thread's stack into g_answer; false when it does not answer within a second.
bool Ask(int64_t thread) {
  while (::sem_trywait(&g_answer.given) == 0) {
  }
  g_answer.depth = 0;
  g_answer.thread.store(thread);
  if (::syscall(SYS_tgkill, ::getpid(), thread, SIGUSR2) != 0) return false;
  timespec until;
  ::clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 1;
  int waited;
  do {
    waited = ::sem_timedwait(&g_answer.given, &until);
  } while (waited != 0 && errno == EINTR);
  g_answer.thread.store(0);
  return waited == 0;
}

// Return addresses as lines of text.
class Symbols {
 public:
  void Want(void* address) { known_[address]; }
  // One addr2line for each program: it takes long to read one.
  void Resolve() {
    std::map<std::string, std::vector<void*>> programs;
    for (auto& [address, text] : known_) {
      Dl_info info;
      if (::dladdr(address, &info) == 0 || info.dli_fname == nullptr) {
        text = absl::StrCat("0x", absl::Hex(reinterpret_cast<uintptr_t>(address)));
        continue;
      }
      text = absl::StrCat(info.dli_sname != nullptr ? info.dli_sname : "?", " ", info.dli_fname,
                          "+0x", absl::Hex(OffsetOf(address, info)));
      programs[info.dli_fname].push_back(address);
    }
    for (const auto& [program, addresses] : programs) AskAddr2line(program, addresses);
  }
  const std::string& Of(void* address) { return known_[address]; }

 private:
  // The call stands before the address to which it returns.
  static uintptr_t OffsetOf(void* address, const Dl_info& info) {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(info.dli_fbase) - 1;
  }
  void AskAddr2line(const std::string& program, const std::vector<void*>& addresses) {
    const std::string path =
        program[0] == '/' ? program : std::filesystem::read_symlink("/proc/self/exe").string();
    std::string command = absl::StrCat("addr2line -Cfpse '", path, "'");
    for (void* address : addresses) {
      Dl_info info;
      if (::dladdr(address, &info) == 0) return;
      absl::StrAppend(&command, " 0x", absl::Hex(OffsetOf(address, info)));
    }
    FILE* const out = ::popen(absl::StrCat(command, " 2>/dev/null").c_str(), "r");
    if (out == nullptr) return;
    for (void* address : addresses) {
      const std::string line = LineOf(out);
      if (!line.empty() && line[0] != '?') known_[address] = line;
    }
    ::pclose(out);
  }
  static std::string LineOf(FILE* file) {
    std::string line;
    for (int c = std::fgetc(file); c != EOF && c != '\n'; c = std::fgetc(file)) {
      line.push_back(static_cast<char>(c));
    }
    return line;
  }

  std::map<void*, std::string> known_;
};

struct Stack {
  std::string thread;
  bool answered = false;
  std::vector<void*> frames;
};

}  // namespace

void PrepareThreadStacks() {
  // Loads the unwinder, which allocates; a handler must not.
  (void)::backtrace(g_answer.frames.data(), kMaxFrames);
  ::sem_init(&g_answer.given, 0, 0);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR2, &action, nullptr);
}

std::string ThreadStacks() {
  std::vector<Stack> stacks;
  Symbols symbols;
  for (const int64_t thread : Threads()) {
    if (thread == ThisThread()) continue;
    Stack& stack = stacks.emplace_back();
    stack.thread = absl::StrCat("thread ", thread, " (", NameOf(thread), ")");
    stack.answered = Ask(thread);
    // The handler's own frame and the kernel's stand first.
    for (int i = 2; stack.answered && i < g_answer.depth; ++i) {
      stack.frames.push_back(g_answer.frames[static_cast<size_t>(i)]);
      symbols.Want(stack.frames.back());
    }
  }
  symbols.Resolve();
  std::string text;
  for (const Stack& stack : stacks) {
    absl::StrAppend(&text, stack.thread, stack.answered ? "\n" : ": no answer\n");
    for (void* frame : stack.frames) absl::StrAppend(&text, "    ", symbols.Of(frame), "\n");
  }
  return text;
}

}  // namespace weft::test
