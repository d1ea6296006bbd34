// A thread's wait for something of a stream, as often as it takes. For the blocking styles.
//
// Threads  the one that waits; not an I/O thread, where it is refused
// Owns     nothing
// Errors   Wait says false, and the stream has failed with the reason
#ifndef WEFT_RPC_CALL_BLOCKING_WAIT_H_
#define WEFT_RPC_CALL_BLOCKING_WAIT_H_

#include <memory>
#include <optional>

#include "weft/core/clock.h"
#include "weft/core/parker.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/call/write_waits.h"

namespace weft::internal {

class BlockingWait {
 public:
  BlockingWait(StreamPort& port, StreamPort::For what) : port_(port), what_(what) {}
  BlockingWait(const BlockingWait&) = delete;
  BlockingWait& operator=(const BlockingWait&) = delete;

  // Waits until the thread may go on, or the stream has ended. False: it must not wait here, or,
  // over all its waits, has waited too long.
  bool Wait();

 private:
  // False: the time came first.
  bool Sleep(Parker& parker);
  MonoTime Now() const;
  // The first call begins the time that all waits of this object may take together.
  void BeginTime();

  StreamPort& port_;
  const StreamPort::For what_;
  std::shared_ptr<const WriteWaits> limits_;  // null: there are none
  // Of a write that has limits: its place among the pool's waiting threads.
  std::optional<WriteWaits::Wait> counted_;
  // The end of the time for all waits together; none: no wait has begun.
  std::optional<MonoTime> until_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_BLOCKING_WAIT_H_
