// The calls of a channel that wait for a connection, in the order in which they came; bounded in
// number and in the bytes of their requests.
//
// Threads  value; whoever guards it
// Owns     nothing: calls stay their starters'
// Errors   RESOURCE_EXHAUSTED: Keep of a request over the limit, Add of a call too many
#ifndef WEFT_RPC_CLIENT_WAITING_CALLS_H_
#define WEFT_RPC_CLIENT_WAITING_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "weft/rpc/call/id_table.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

class WaitingCalls {
 public:
  static constexpr size_t kMax = 10'000;

  // Which of them.
  enum class Which : uint8_t {
    kAll,       // the channel closes
    kFailFast,  // an attempt failed: those that do not wait for the server to be ready
    kNew,       // a connection ended early: those, but for calls that it gave back
  };

  // `max_bytes`: of all requests together, SessionLimits::MostOutput.
  explicit WaitingCalls(size_t max_bytes) : max_bytes_(max_bytes) {}

  // Before Add, and without the guard: takes along what does not stay where it is. `max_message`:
  // of the channel.
  static absl::Status Keep(OutboundCall& call, size_t max_message);

  // Gives the call its number.
  absl::Status Add(OutboundCall& call);
  // Null where it does not wait any more.
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
  const size_t max_bytes_;
  IdTable<OutboundCall> calls_;
  uint64_t next_ = 1;
  size_t bytes_ = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_WAITING_CALLS_H_
