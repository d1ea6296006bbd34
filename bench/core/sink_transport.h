// A transport that takes everything and keeps nothing: for measuring what stands before the kernel.
//
// Threads  any
#pragma once

#include <memory>

#include "weft/core/transport.h"

namespace weft::bench {

class SinkTransport final : public internal::Transport {
 public:
  ssize_t Read(const iovec*, int) override { return 0; }
  ssize_t Write(const iovec* pieces, int count) override {
    ssize_t n = 0;
    for (int i = 0; i < count; ++i) n += static_cast<ssize_t>(pieces[i].iov_len);
    return n;
  }
  void ShutDown() override {}
  absl::StatusOr<std::unique_ptr<internal::Watch>> NewWatch(internal::EventLoop&,
                                                            internal::WatchEvents*) override {
    return absl::UnimplementedError("nobody watches it");
  }
  bool AnyThreadMayWrite() const override { return true; }
};

}  // namespace weft::bench
