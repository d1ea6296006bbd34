// The stream of a call that the other side started.
//
// Threads  as StreamPort
// Ends     the call ends its stream with its answer; nothing refers to the call then
#ifndef WEFT_RPC_CALL_INBOUND_STREAM_H_
#define WEFT_RPC_CALL_INBOUND_STREAM_H_

#include <memory>

#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/stream_port.h"

namespace weft::internal {

class InboundStream final : public StreamPort {
 public:
  explicit InboundStream(InboundCall& call)
      : call_(call), write_waits_(call.bound != nullptr ? call.bound->write_waits : nullptr) {}

  std::shared_ptr<const WriteWaits> write_waits() const override { return write_waits_; }

 private:
  bool WantsMessages() const override { return call_.interception != nullptr; }
  absl::Status OnStreamMessage(bool outgoing, size_t bytes) override {
    return call_.OnMessage(outgoing ? MessageDirection::kSent : MessageDirection::kReceived, bytes);
  }

  // The handler wrote it.
  absl::StatusCode CodeOfIncomplete() const override { return absl::StatusCode::kInternal; }

  InboundCall& call_;
  // A share of its own: a thread may still wait to write when the call has been answered.
  const std::shared_ptr<const WriteWaits> write_waits_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INBOUND_STREAM_H_
