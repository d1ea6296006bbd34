// The calls of a channel that wait for a connection, or for room on one, in the order in which they
// came. Calls that a link gave back stand before all others. Their number and the bytes of their
// requests are bounded.
//
// A member of WaitingRoom and of RoomQueue, which guard it.
//
// Threads  value; whoever guards it
// Owns     nothing: calls stay their starters'
// Errors   RESOURCE_EXHAUSTED: Keep of a request over the limit, Add of a call too many
#ifndef WEFT_RPC_CLIENT_WAITING_CALLS_H_
#define WEFT_RPC_CLIENT_WAITING_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "weft/rpc/base/message_limit.h"
#include "weft/rpc/call/id_table.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft::internal {

class WaitingCalls {
 public:
  // Calls that may wait for a connection.
  static constexpr size_t kMax = 10'000;

  // Selects some of the waiting calls.
  enum class Which : uint8_t {
    kAll,       // the channel closes
    kFailFast,  // an attempt failed: calls without wait_for_ready
    kNew,       // a connection ended early: as kFailFast, but not calls that it gave back
  };

  // `max_bytes`: of all requests together; one may wait alone, however large. `owner`: of that
  // limit. It and `awaited`: for the text; as long-lived as a constant.
  WaitingCalls(size_t max_bytes, std::string_view owner, size_t max_calls = kMax,
               std::string_view awaited = "the connection")
      : max_bytes_(max_bytes), max_calls_(max_calls), owner_(owner), awaited_(awaited) {}

  // Call it before Add, without the guard. It copies what does not stay where it is. `max_message`:
  // this side's limit.
  static absl::Status Keep(OutboundCall& call, const MessageLimit& max_message);

  // Returns the end of calls that waited, or would wait, when their channel was closed.
  static absl::Status Closed();

  // Gives the call its number.
  absl::Status Add(OutboundCall& call);
  // Null if the call does not wait any more.
  OutboundCall* Find(uint64_t id) const { return calls_.Find(id); }
  OutboundCall* Take(uint64_t id);
  // A call that was taken waits on, with its number and so in its place. It was within the bounds
  // before, so only a lack of memory refuses it.
  absl::Status PutBack(OutboundCall& call);
  // Their numbers, in order.
  std::vector<uint64_t> Numbers(Which which) const;

  size_t size() const { return calls_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  const size_t max_bytes_, max_calls_;
  const std::string_view owner_, awaited_;
  IdTable<OutboundCall> calls_;
  // Two ranges of numbers, which are the order: calls that were given back come before all others.
  uint64_t next_given_back_ = 1;
  uint64_t next_ = uint64_t{1} << 62;
  size_t bytes_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_WAITING_CALLS_H_
