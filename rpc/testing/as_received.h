// Makes a received message from a protobuf message and raw bytes, as if they had come over a
// connection.
//
// Threads  any
#ifndef WEFT_RPC_TESTING_AS_RECEIVED_H_
#define WEFT_RPC_TESTING_AS_RECEIVED_H_

#include "absl/strings/cord.h"
#include "weft/rpc/base/received_message.h"

namespace weft::internal {

ReceivedMessage AsReceived(const google::protobuf::MessageLite& message,
                           const absl::Cord& attachment);

}  // namespace weft::internal

#endif  // WEFT_RPC_TESTING_AS_RECEIVED_H_
