// The memory between the two ends of an in-process connection: what stands in the place of a socket
// pair's buffers, with faults.
//
//   dialer ──Write──► [ ring of at most buffer_bytes;       ] ──Read──► listener
//                     [ runs of bytes, each due at a time   ]
//          ◄──Read─── [                  …                  ] ◄──Write──
//
// As with sockets: a write takes what there is room for, EAGAIN when there is none, EPIPE after the
// other end has closed, ECONNRESET after a reset; a read gives what is due, then EAGAIN, 0 after
// the other end's close, ECONNRESET after a reset.
//
// Threads  any
// Owns     both rings, which grow to their bound as they are used
// Errors   Read and Write: as Transport
// Ends     an end that has closed wakes no more; the link lives as long as one of its ends
#ifndef WEFT_CORE_IN_PROCESS_PIPE_H_
#define WEFT_CORE_IN_PROCESS_PIPE_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "weft/core/clock.h"
#include "weft/core/fault_cursor.h"
#include "weft/core/fault_script.h"
#include "weft/core/in_process_route.h"
#include "weft/core/in_process_tap.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

// Told that an end may have become ready: under the link's mutex, on any thread, any number of
// times.
class InProcessWaker {
 public:
  virtual void Wake() = 0;

 protected:
  ~InProcessWaker() = default;
};

class WEFT_ANY_THREAD InProcessPipe {
 public:
  enum class Side : uint8_t { kDialer = 0, kListener = 1 };

  // Bytes that arrive together where they arrive so many a second.
  static constexpr size_t kSlowPiece = 4 << 10;

  // `dialer` and `listener` are the clocks of the two ends' loops, and outlive them. `tap` hears of
  // `route`; null: nobody does.
  InProcessPipe(uint64_t number, size_t buffer_bytes, const ConnectionFaults& faults,
                const Clock& dialer, const Clock& listener,
                std::shared_ptr<InProcessTap> tap = nullptr, InProcessRoute route = {});
  ~InProcessPipe();
  InProcessPipe(const InProcessPipe&) = delete;
  InProcessPipe& operator=(const InProcessPipe&) = delete;

  uint64_t number() const { return number_; }
  const InProcessRoute& route() const { return route_; }

  // ---- for the ends
  ssize_t Read(Side side, const iovec* pieces, int count) WEFT_EXCLUDES(mu_);
  ssize_t Write(Side side, const iovec* pieces, int count) WEFT_EXCLUDES(mu_);
  void Close(Side side) WEFT_EXCLUDES(mu_);
  // Bytes that `side` has written and the other end has not read; those that were lost count too.
  size_t Unread(Side side) const WEFT_EXCLUDES(mu_);
  // Null: nobody is told any more.
  void SetWaker(Side side, std::shared_ptr<InProcessWaker> waker) WEFT_EXCLUDES(mu_);
  struct Readiness {
    bool readable = false;
    bool writable = false;
    MonoTime readable_at = kNever;  // when it is so, unless something happens before
  };
  Readiness Look(Side side) const WEFT_EXCLUDES(mu_);

  // ---- for the network
  // Resets both ends; what was not read is lost. An end to which nothing arrives, because it is
  // held, hears of it now, or when that is let go.
  enum class Held : uint8_t { kHearsNow, kHearsLater };
  void Cut(Held held = Held::kHearsNow) WEFT_EXCLUDES(mu_);
  // Faults from here on: their positions count from what has been written. A direction that has
  // fallen silent stays so.
  void Change(const ConnectionFaults& faults) WEFT_EXCLUDES(mu_);
  // Held: nothing of what `writer` has written arrives, and all of it when it is let go.
  void Hold(Side writer, bool held) WEFT_EXCLUDES(mu_);
  // Resets one end alone: the other is told nothing, and what it writes vanishes.
  void CutOneEnd(Side hears) WEFT_EXCLUDES(mu_);
  // From here on nothing arrives at either end, and neither is told.
  void Silence() WEFT_EXCLUDES(mu_);
  // True until both ends have closed, or one was reset and nothing is held.
  bool open() const WEFT_EXCLUDES(mu_);

 private:
  struct Run {
    size_t size;
    MonoTime due;
  };
  // Bytes one way.
  struct Way {
    const Clock* clock = nullptr;  // the reader's
    FaultCursor faults;
    std::vector<char> ring;
    size_t first = 0;
    size_t size = 0;
    size_t lost = 0;  // bytes that were taken and never arrive
    std::deque<Run> runs;
    MonoTime last_due{};
    MonoTime next_read{};
    bool writer_closed = false;
    MonoTime closed_due = kNever;
    bool reader_closed = false;
    bool held = false;
    MonoTime wire_free{};  // all that was written before has been sent
  };

  static size_t Index(Side side) { return static_cast<size_t>(side); }
  Way& Out(Side side) WEFT_REQUIRES(mu_) { return ways_[Index(side)]; }
  Way& In(Side side) WEFT_REQUIRES(mu_) { return ways_[1 - Index(side)]; }
  const Way& Out(Side side) const WEFT_REQUIRES(mu_) { return ways_[Index(side)]; }
  const Way& In(Side side) const WEFT_REQUIRES(mu_) { return ways_[1 - Index(side)]; }
  static size_t Due(const Way& way, MonoTime now);
  static void Put(Way& way, const iovec* pieces, int count, size_t n, size_t bound);
  static void AddRun(Way& way, size_t n, MonoTime due);
  // Bytes that have just been put will arrive then.
  static void Schedule(Way& way, size_t n, Nanos delay);
  static void Take(Way& way, const iovec* pieces, int count, size_t n);
  static void Drop(Way& way);
  void Reset() WEFT_REQUIRES(mu_);
  void FallSilent() WEFT_REQUIRES(mu_);
  bool reset() const WEFT_REQUIRES(mu_) { return reset_[0] || reset_[1]; }
  void WakeEnd(size_t index) WEFT_REQUIRES(mu_);
  void WakeBoth() WEFT_REQUIRES(mu_);

  const uint64_t number_;
  const size_t buffer_bytes_;
  const std::shared_ptr<InProcessTap> tap_;
  const InProcessRoute route_;
  mutable Mutex mu_;
  std::array<Way, 2> ways_ WEFT_GUARDED_BY(mu_);  // by the side that writes
  std::array<std::shared_ptr<InProcessWaker>, 2> wakers_ WEFT_GUARDED_BY(mu_);
  std::array<bool, 2> reset_ WEFT_GUARDED_BY(mu_) = {};  // by the end that sees it
};

}  // namespace weft::internal

#endif  // WEFT_CORE_IN_PROCESS_PIPE_H_
