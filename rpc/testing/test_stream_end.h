// Carries the messages of a TestStream: from the test to the handler at once, from the handler to
// the test while there is room.
//
// Threads  any; `on_message`: the writer's, inside its write
// Owns     nothing of the call; the call's stream keeps this alive
// Ends     with the stream
#ifndef WEFT_RPC_TESTING_TEST_STREAM_END_H_
#define WEFT_RPC_TESTING_TEST_STREAM_END_H_

#include <cstddef>
#include <limits>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/call/stream_transport.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class WEFT_ANY_THREAD TestStreamEnd final : public StreamTransport {
 public:
  using OnMessage =
      absl::AnyInvocable<void(const google::protobuf::MessageLite&, const absl::Cord& attachment)>;

  // Makes the stream of `call`. Before its handler runs.
  static std::shared_ptr<TestStreamEnd> Open(InboundCall& call, OnMessage on_message);

  // The handler's stream. Lives as long as this.
  std::shared_ptr<StreamPort> port() const { return port_.lock(); }

  void Push(const google::protobuf::MessageLite& message, const absl::Cord& attachment);
  void HalfClose();
  void SetRoom(size_t messages) WEFT_EXCLUDES(mu_);

  // ---- StreamTransport
  StreamSent SendMessage(StreamPort& port, const StreamMessage& message, bool last, bool gather,
                         absl::Status* why) override WEFT_EXCLUDES(mu_);
  void SendHalfClose(StreamPort&) override {}
  void ReturnCredit(StreamPort&, size_t) override {}
  bool HasRoom(StreamPort& port) override WEFT_EXCLUDES(mu_);

 private:
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  TestStreamEnd(InboundCall& call, OnMessage on_message)
      : call_(call), on_message_(std::move(on_message)) {}

  InboundCall& call_;
  OnMessage on_message_;  // the writer's
  std::weak_ptr<StreamPort> port_;
  Mutex mu_;
  size_t room_ WEFT_GUARDED_BY(mu_) = kNoLimit;
  bool wants_room_ WEFT_GUARDED_BY(mu_) = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_TESTING_TEST_STREAM_END_H_
