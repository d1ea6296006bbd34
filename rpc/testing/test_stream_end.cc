#include "weft/rpc/testing/test_stream_end.h"

#include <utility>

#include "weft/rpc/call/inbound_stream.h"
#include "weft/rpc/testing/as_received.h"

namespace weft::internal {
namespace {

// Any cost will do: nothing counts the stream's credit here.
constexpr size_t kMessageCost = 1;

}  // namespace

std::shared_ptr<TestStreamEnd> TestStreamEnd::Open(InboundCall& call, OnMessage on_message) {
  std::shared_ptr<TestStreamEnd> end(new TestStreamEnd(call, std::move(on_message)));
  call.stream = std::make_shared<InboundStream>(call);
  call.stream->Bind(end, {kNoLimit, "test"});
  end->port_ = call.stream;
  return end;
}

void TestStreamEnd::Push(const google::protobuf::MessageLite& message,
                         const absl::Cord& attachment) {
  port()->Deliver(AsReceived(message, attachment), kMessageCost);
}

void TestStreamEnd::HalfClose() { port()->OnHalfClose(); }

void TestStreamEnd::SetRoom(size_t messages) {
  {
    MutexLock lock(mu_);
    room_ = messages;
    if (room_ == 0 || !std::exchange(wants_room_, false)) return;
  }
  port()->OnRoom();
}

StreamSent TestStreamEnd::SendMessage(StreamPort& port, const StreamMessage& message, bool, bool,
                                      absl::Status*) {
  if (port.ended()) return StreamSent::kEnded;
  {
    MutexLock lock(mu_);
    if (room_ == 0) {
      wants_room_ = true;
      return StreamSent::kBlocked;
    }
    if (room_ != kNoLimit) --room_;
  }
  call_.initial_metadata().sent = true;  // initial metadata precedes the first message
  on_message_(*message.message, message.attachment != nullptr ? *message.attachment : absl::Cord());
  return StreamSent::kSent;
}

bool TestStreamEnd::HasRoom(StreamPort& port) {
  if (port.ended()) return false;
  MutexLock lock(mu_);
  if (room_ == 0) wants_room_ = true;
  return room_ > 0;
}

}  // namespace weft::internal
