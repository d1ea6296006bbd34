#include "children.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace weft::examples::kv {
namespace {

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

}  // namespace

Children::Children() {
  // A short path: a socket's path has room for 107 bytes.
  char path[] = "/tmp/weft-kv-XXXXXX";
  if (mkdtemp(path) == nullptr) Fail("kv_demo: cannot make a folder in /tmp");
  folder_ = path;
}

void Children::Start(const std::string& name, const std::vector<std::string>& command) {
  const std::string log = absl::StrCat(folder_, "/", name, ".log");
  // All memory is taken before the fork: in the child of a process with threads malloc may hang.
  std::vector<char*> arguments;
  for (const std::string& each : command) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const std::lock_guard lock(mu_);
  const pid_t child = fork();
  if (child < 0) Fail("kv_demo: fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);  // the parent died before prctl
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) {
      dup2(fd, STDOUT_FILENO);
      dup2(fd, STDERR_FILENO);
    }
    sigset_t none;
    // The demo blocks signals to wait for them; after exec they would still be blocked.
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  running_[name] = child;
}

void Children::Signal(const std::string& name, int signal) {
  const std::lock_guard lock(mu_);
  const auto it = running_.find(name);
  if (it != running_.end()) kill(it->second, signal);
}

void Children::Kill(const std::string& name) {
  const std::lock_guard lock(mu_);
  const auto it = running_.find(name);
  if (it == running_.end()) return;
  kill(it->second, SIGKILL);
  // A node that is started again must not meet its predecessor.
  waitpid(it->second, nullptr, 0);
  running_.erase(it);
}

bool Children::Runs(const std::string& name) {
  const std::lock_guard lock(mu_);
  const auto it = running_.find(name);
  if (it == running_.end()) return false;
  if (waitpid(it->second, nullptr, WNOHANG) == 0) return true;
  running_.erase(it);
  return false;
}

void Children::PrintLogs() {
  // Logs go to stderr: without this they could overtake what was printed before.
  std::fflush(stdout);
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    if (file.path().extension() != ".log") continue;
    std::vector<std::string> lines;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    const size_t begin = lines.size() > 20 ? lines.size() - 20 : 0;
    std::fprintf(stderr, "---- %s\n", file.path().filename().c_str());
    for (size_t i = begin; i < lines.size(); ++i) std::fprintf(stderr, "%s\n", lines[i].c_str());
  }
}

void Children::Sweep() {
  const std::lock_guard lock(mu_);
  for (const auto& [name, child] : running_) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  running_.clear();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  folder_.clear();
}

}  // namespace weft::examples::kv
