// A transport whose input is an array of bytes, brought in reads of sizes that somebody else says;
// it takes every byte that is written. Always readable; at its end the peer has closed.
//
// Threads  loop-only, the stream too
// Owns     a descriptor to be watched
// Errors   a process without a descriptor for it ends
#ifndef WEFT_TESTS_SUPPORT_FED_TRANSPORT_H_
#define WEFT_TESTS_SUPPORT_FED_TRANSPORT_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "weft/core/event_loop.h"
#include "weft/core/transport.h"

namespace weft {

// Both directions of one connection.
struct FedStream {
  std::string input, output;
  size_t at = 0;  // bytes of the input that have been read
  // The next read's largest size.
  std::function<size_t()> next_read;
  // Before each read, and once more before the end is told. Null: nothing.
  std::function<void()> before_read;
  bool broken = false;               // a write fails
  std::atomic<bool> blocked{false};  // a write takes nothing
  size_t max_unsent = 0;             // as the transport was told
};

class FedTransport final : public internal::Transport {
 public:
  explicit FedTransport(FedStream& stream);
  ~FedTransport() override;

  ssize_t Read(const iovec* pieces, int count) override;
  ssize_t Write(const iovec* pieces, int count) override;
  void ShutDown() override {}
  void SetMaxUnsent(size_t bytes) override { stream_.max_unsent = bytes; }
  absl::StatusOr<std::unique_ptr<internal::Watch>> NewWatch(internal::EventLoop& loop,
                                                            internal::WatchEvents* events) override;
  bool AnyThreadMayWrite() const override { return false; }

 private:
  FedStream& stream_;
  const int fd_;
  bool at_end_ = false;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_FED_TRANSPORT_H_
