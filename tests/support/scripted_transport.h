// A transport in memory whose writes go as a test's script says: in part, not now, or into an
// error.
//
//   script:  Take(n)  Block()  Fail(errno) …   one step a Write; with none left each write is
//                                              taken whole
//
// Threads  Write and ShutDown as Transport; the record any
// Owns     nothing: the record outlives the transport, which an output queue destroys
#ifndef WEFT_TESTS_SUPPORT_SCRIPTED_TRANSPORT_H_
#define WEFT_TESTS_SUPPORT_SCRIPTED_TRANSPORT_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "weft/core/event_loop.h"
#include "weft/core/transport.h"

namespace weft {

// The script of the transport, and a record of its writes.
class WriteRecord {
 public:
  // The next writes: at most `n` bytes taken; EAGAIN; an error.
  void Take(size_t n) { Add({n, 0}); }
  void Block();
  void Fail(int error) { Add({0, error}); }
  // Runs inside each Write, before its step: for what happens meanwhile. Set before the first
  // Write.
  std::function<void()> in_write;
  // The bytes that the other end is said not to have taken.
  std::atomic<size_t> unacknowledged{0};

  std::string written() const;
  int writes() const;
  bool shut_down() const;
  bool destroyed() const;

 private:
  friend class ScriptedTransport;
  struct Step {
    size_t most;
    int error;
  };
  void Add(Step step);

  mutable std::mutex mu_;
  std::deque<Step> script_;
  std::string written_;
  int writes_ = 0;
  bool shut_down_ = false;
  bool destroyed_ = false;
};

class ScriptedTransport final : public internal::Transport {
 public:
  explicit ScriptedTransport(std::shared_ptr<WriteRecord> record, bool any_thread_may_write = true)
      : record_(std::move(record)), any_thread_may_write_(any_thread_may_write) {}
  ~ScriptedTransport() override;

  // Nothing ever comes.
  ssize_t Read(const iovec* pieces, int count) override;
  // EPIPE after ShutDown.
  ssize_t Write(const iovec* pieces, int count) override;
  size_t Unacknowledged() const override;
  void ShutDown() override;
  // The transport is never ready for anything, so it cannot be watched.
  absl::StatusOr<std::unique_ptr<internal::Watch>> NewWatch(internal::EventLoop&,
                                                            internal::WatchEvents*) override {
    return absl::UnimplementedError("a scripted transport is not watched");
  }
  bool AnyThreadMayWrite() const override { return any_thread_may_write_; }

 private:
  const std::shared_ptr<WriteRecord> record_;
  const bool any_thread_may_write_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_SCRIPTED_TRANSPORT_H_
