// One end of an in-process connection: bytes travel through the memory of an InProcessPipe.
//
// Threads  as Transport; any thread may write
// Owns     its end, closed with it
#ifndef WEFT_CORE_IN_PROCESS_TRANSPORT_H_
#define WEFT_CORE_IN_PROCESS_TRANSPORT_H_

#include <memory>
#include <utility>

#include "weft/core/in_process_pipe.h"
#include "weft/core/transport.h"

namespace weft::internal {

class InProcessTransport final : public Transport {
 public:
  InProcessTransport(std::shared_ptr<InProcessPipe> link, InProcessPipe::Side side)
      : link_(std::move(link)), side_(side) {}
  ~InProcessTransport() override { link_->Close(side_); }
  InProcessTransport(const InProcessTransport&) = delete;
  InProcessTransport& operator=(const InProcessTransport&) = delete;

  ssize_t Read(const iovec* pieces, int count) override {
    return link_->Read(side_, pieces, count);
  }
  ssize_t Write(const iovec* pieces, int count) override {
    return link_->Write(side_, pieces, count);
  }
  size_t Unacknowledged() const override { return link_->Unread(side_); }
  void ShutDown() override { link_->Close(side_); }
  absl::StatusOr<std::unique_ptr<Watch>> NewWatch(EventLoop& loop,
                                                  WatchEvents* events) WEFT_LOOP_ONLY override;
  bool AnyThreadMayWrite() const override { return true; }

 private:
  const std::shared_ptr<InProcessPipe> link_;
  const InProcessPipe::Side side_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_IN_PROCESS_TRANSPORT_H_
