// A reply that is kept alive by sharing it: what a test, without generated code, answers a call
// with.
//
// Threads  value
// Owns     a share of its message
#ifndef WEFT_TESTS_SUPPORT_KEPT_REPLY_H_
#define WEFT_TESTS_SUPPORT_KEPT_REPLY_H_

#include <cstddef>
#include <memory>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "weft/rpc/call/inbound_call.h"

namespace weft {

class KeptReply final : public internal::ReplyMessage {
 public:
  explicit KeptReply(std::shared_ptr<const google::protobuf::MessageLite> message)
      : message_(std::move(message)) {}
  const google::protobuf::MessageLite& message() const override { return *message_; }
  std::shared_ptr<const void> Keep(size_t) override { return message_; }

 private:
  const std::shared_ptr<const google::protobuf::MessageLite> message_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_KEPT_REPLY_H_
