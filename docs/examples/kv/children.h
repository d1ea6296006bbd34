// The demo's processes, and the folder of their sockets and logs. No process is left, however the
// demo ends: the kernel kills each when its parent is gone.
//
// Threads  its owner's alone, which must outlive the processes; Sweep: any
// Owns     processes and folder
// Errors   ends the program with the reason
#ifndef WEFT_EXAMPLES_KV_CHILDREN_H_
#define WEFT_EXAMPLES_KV_CHILDREN_H_

#include <sys/types.h>

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace weft::examples::kv {

class Children {
 public:
  Children();
  ~Children() { Sweep(); }

  const std::string& folder() const { return folder_; }
  // Starts a process. Its output is appended to <folder>/<name>.log.
  void Start(const std::string& name, const std::vector<std::string>& command);
  // SIGSTOP makes the process hang; SIGCONT lets it go on.
  void Signal(const std::string& name, int signal);
  // Kills with SIGKILL and waits until the process is gone.
  void Kill(const std::string& name);
  bool Runs(const std::string& name);
  // Prints the last lines of each log.
  void PrintLogs();
  // Kills all processes and removes the folder. Idempotent.
  void Sweep();

 private:
  std::string folder_;
  std::mutex mu_;
  std::map<std::string, pid_t> running_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_CHILDREN_H_
