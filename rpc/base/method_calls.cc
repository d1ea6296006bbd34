#include "weft/rpc/base/method_calls.h"

#include <algorithm>
#include <bit>
#include <new>

#include "absl/base/optimization.h"
#include "weft/core/event_loop.h"

namespace weft::internal {
namespace {

static_assert(MethodCalls::kCells == 64, "a number is a bit of numbers_taken");

// The numbers that threads have now. Number 0 is nobody's.
constinit std::atomic<uint64_t> numbers_taken{1};

// The thread ends, and takes no number any more.
constinit thread_local bool thread_ends = false;

// As MethodStats::BucketOf: the highest bit chooses the chunk, the bits behind it one of its steps.
struct Place {
  explicit Place(uint64_t latency)
      : chunk((63u ^ static_cast<size_t>(std::countl_zero(latency))) - MethodCalls::kLeastExponent),
        step((latency >> chunk) & ((size_t{1} << MethodStats::kStepBits) - 1)) {}
  const size_t chunk, step;
};

// The time of the turn, at which calls end, may be before a start on another thread.
uint64_t LatencyOf(MonoTime started, MonoTime at) {
  constexpr int64_t kLeast = int64_t{1} << MethodCalls::kLeastExponent;
  return static_cast<uint64_t>(std::max(kLeast, (at - started).count()));
}

}  // namespace

[[gnu::tls_model("initial-exec")]] constinit thread_local size_t MethodCalls::own_number_ = 0;

// Gives a thread's number back when the thread ends.
struct MethodCalls::NumberReturn {
  ~NumberReturn() {
    thread_ends = true;
    // Release, and acquire in TakeNumber: the next owner's additions come after this thread's.
    if (own_number_ != 0) {
      numbers_taken.fetch_and(~(uint64_t{1} << own_number_), std::memory_order_release);
    }
    own_number_ = 0;
  }
};

void MethodCalls::TakeNumber() {
  if (own_number_ != 0 || thread_ends) return;
  uint64_t taken = numbers_taken.load(std::memory_order_relaxed);
  do {
    if (taken == ~uint64_t{0}) return;
  } while (
      !numbers_taken.compare_exchange_weak(taken, taken | (taken + 1), std::memory_order_acquire));
  own_number_ = static_cast<size_t>(std::countr_one(taken));
  thread_local const NumberReturn at_end;
}

MethodCalls::Cell::~Cell() {
  for (auto& chunk : latency) delete chunk.load(std::memory_order_acquire);
}

MethodCalls::~MethodCalls() {
  for (auto& cell : cells_) delete cell.load(std::memory_order_acquire);
}

// The path of every reply: what is rare is left to a function at its end, so that this one keeps
// nothing on the stack.
void MethodCalls::Ended(const absl::Status& status, MonoTime started, MonoTime at) {
  if (ABSL_PREDICT_FALSE(at == MonoTime())) return EndedNow(status, started);
  const uint64_t latency = LatencyOf(started, at);
  Cell* const cell = cells_[own_number_].load(std::memory_order_acquire);
  if (ABSL_PREDICT_FALSE(cell == nullptr || !status.ok())) return EndedSlow(status, latency);
  const Place place(latency);
  Chunk* const chunk = cell->latency[place.chunk].load(std::memory_order_acquire);
  if (ABSL_PREDICT_FALSE(chunk == nullptr)) return EndedSlow(status, latency);
  Add<false>((*chunk)[place.step]);
}

// A call ends on a loop. Elsewhere it ends only if its loop has closed, and then inside its start:
// it took no time.
ABSL_ATTRIBUTE_NOINLINE void MethodCalls::EndedNow(const absl::Status& status, MonoTime started) {
  MonoTime at = started;
  if (EventLoop* const loop = EventLoop::Current(); loop != nullptr) {
    loop->AssertInLoop();
    at = loop->now();
  }
  // Not Ended: a manual clock may stand at zero.
  EndedSlow(status, LatencyOf(started, at));
}

ABSL_ATTRIBUTE_NOINLINE void MethodCalls::StartedSlow() {
  if (Cell* const cell = MakeCell()) {
    Add<false>(cell->started);
  } else {
    Add<true>(shared_.started);
  }
}

ABSL_ATTRIBUTE_NOINLINE void MethodCalls::EndedSlow(const absl::Status& status, uint64_t latency) {
  if (Cell* const cell = MakeCell()) {
    CountEnd<false>(*cell, status, latency);
  } else {
    CountEnd<true>(shared_, status, latency);
  }
}

template <bool kShared>
void MethodCalls::CountEnd(Cell& cell, const absl::Status& status, uint64_t latency) {
  if (!status.ok()) {
    // Codes that absl does not know are counted in the last place.
    const auto code = static_cast<size_t>(status.raw_code());
    Add<kShared>(cell.by_code[std::min(code, cell.by_code.size() - 1)]);
  }
  const Place place(latency);
  Chunk* chunk = cell.latency[place.chunk].load(std::memory_order_acquire);
  if (chunk == nullptr) chunk = MakeChunk(cell.latency[place.chunk]);
  Add<kShared>(chunk != nullptr ? (*chunk)[place.step] : cell.by_code[0]);
}

ABSL_ATTRIBUTE_NOINLINE MethodCalls::Cell* MethodCalls::MakeCell() {
  TakeNumber();
  if (own_number_ == 0) return nullptr;
  std::atomic<Cell*>& place = cells_[own_number_];  // a thread that had the number may have made it
  Cell* cell = place.load(std::memory_order_acquire);
  if (cell == nullptr) {
    // Without memory the call is counted in the shared cell: a loop goes on.
    cell = new (std::nothrow) Cell;
    place.store(cell, std::memory_order_release);
  }
  return cell;
}

// In the shared cell several threads may make it at once: the first one stored wins.
ABSL_ATTRIBUTE_NOINLINE MethodCalls::Chunk* MethodCalls::MakeChunk(std::atomic<Chunk*>& place) {
  auto* const made = new (std::nothrow) Chunk{};
  Chunk* there = nullptr;
  if (made == nullptr || place.compare_exchange_strong(there, made, std::memory_order_acq_rel)) {
    return made;
  }
  delete made;
  return there;
}

void MethodCalls::AddTo(CallStatsSnapshot* sum) const {
  int64_t started = 0, ended = 0, failed = 0;
  const auto add = [&](const Cell& cell) {
    for (size_t i = 0; i < cell.by_code.size(); ++i) {
      const int64_t n = cell.by_code[i].load(std::memory_order_relaxed);
      if (i == 0) {
        ended += n;
      } else {
        sum->by_code[i] += n;
        failed += n;
      }
    }
    for (size_t c = 0; c < kChunks; ++c) {
      const Chunk* const chunk = cell.latency[c].load(std::memory_order_acquire);
      if (chunk == nullptr) continue;
      for (size_t i = 0; i < chunk->size(); ++i) {
        const int64_t n = (*chunk)[i].load(std::memory_order_relaxed);
        sum->latency[(c + 1) * chunk->size() + i] += n;
        ended += n;
      }
    }
    started += cell.started.load(std::memory_order_relaxed);
  };
  add(shared_);
  for (const auto& place : cells_) {
    if (const Cell* const cell = place.load(std::memory_order_acquire)) add(*cell);
  }
  // Calls that start and end meanwhile may be seen in part: no count says what cannot be.
  ended = std::max(ended, failed);
  started = std::max(started, ended);
  sum->calls += ended;
  sum->by_code[0] += ended - failed;
  sum->started += started;
  sum->in_flight += started - ended;
  sum->retries += retries_.load(std::memory_order_relaxed);
  sum->hedges += hedges_.load(std::memory_order_relaxed);
  sum->resent += resent_.load(std::memory_order_relaxed);
}

}  // namespace weft::internal
