#include "weft/core/in_process_pipe.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace weft {
namespace {

size_t TotalOf(const iovec* pieces, int count) {
  size_t total = 0;
  for (int i = 0; i < count; ++i) total += pieces[i].iov_len;
  return total;
}

ssize_t FailWith(int error) {
  errno = error;
  return -1;
}

}  // namespace

InProcessPipe::InProcessPipe(uint64_t number, size_t buffer_bytes, const ConnectionFaults& faults,
                             const Clock& dialer, const Clock& listener)
    : number_(number), buffer_bytes_(std::max<size_t>(buffer_bytes, 1)) {
  Way& to_listener = ways_[Index(Side::kDialer)];
  to_listener.clock = &listener;
  to_listener.faults = FaultCursor(faults.to_listener);
  Way& to_dialer = ways_[Index(Side::kListener)];
  to_dialer.clock = &dialer;
  to_dialer.faults = FaultCursor(faults.to_dialer);
}

InProcessPipe::~InProcessPipe() = default;

// ---- one way's ring

size_t InProcessPipe::Due(const Way& way, MonoTime now) {
  size_t due = 0;
  for (const Run& run : way.runs) {
    if (run.due > now) break;
    due += run.size;
  }
  return due;
}

void InProcessPipe::Put(Way& way, const iovec* pieces, int count, size_t n, MonoTime due,
                        size_t bound) {
  if (n == 0) return;
  if (way.size + n > way.ring.size()) {
    std::vector<char> larger(std::min(bound, std::max(way.ring.size() * 2, way.size + n)));
    const size_t before_wrap = std::min(way.size, way.ring.size() - way.first);
    if (way.size > 0) {
      std::memcpy(larger.data(), way.ring.data() + way.first, before_wrap);
      std::memcpy(larger.data() + before_wrap, way.ring.data(), way.size - before_wrap);
    }
    way.ring = std::move(larger);
    way.first = 0;
  }
  size_t left = n;
  for (int i = 0; i < count && left > 0; ++i) {
    const char* data = static_cast<const char*>(pieces[i].iov_base);
    size_t piece = std::min(left, pieces[i].iov_len);
    left -= piece;
    while (piece > 0) {
      const size_t at = (way.first + way.size) % way.ring.size();
      const size_t part = std::min(piece, way.ring.size() - at);
      std::memcpy(way.ring.data() + at, data, part);
      data += part;
      piece -= part;
      way.size += part;
    }
  }
  if (!way.runs.empty() && way.runs.back().due == due) {
    way.runs.back().size += n;
  } else {
    way.runs.push_back({n, due});
  }
}

void InProcessPipe::Take(Way& way, const iovec* pieces, int count, size_t n) {
  size_t left = n;
  for (int i = 0; i < count && left > 0; ++i) {
    char* data = static_cast<char*>(pieces[i].iov_base);
    size_t piece = std::min(left, pieces[i].iov_len);
    left -= piece;
    while (piece > 0) {
      const size_t part = std::min(piece, way.ring.size() - way.first);
      std::memcpy(data, way.ring.data() + way.first, part);
      data += part;
      piece -= part;
      way.first = (way.first + part) % way.ring.size();
      way.size -= part;
    }
  }
  for (left = n; left > 0;) {
    Run& run = way.runs.front();
    const size_t part = std::min(left, run.size);
    run.size -= part;
    left -= part;
    if (run.size == 0) way.runs.pop_front();
  }
}

void InProcessPipe::Drop(Way& way) {
  way.lost += way.size;
  way.runs.clear();
  way.first = way.size = 0;
}

// ---- the ends

ssize_t InProcessPipe::Read(Side side, const iovec* pieces, int count) {
  MutexLock lock(mu_);
  Way& way = In(side);
  if (way.reader_closed) return 0;
  if (held_) return FailWith(EAGAIN);
  const MonoTime now = way.clock->Now();
  if (const size_t due = Due(way, now); due > 0) {
    const size_t wanted = TotalOf(pieces, count);
    if (now < way.next_read && wanted > 0) return FailWith(EAGAIN);
    const size_t n = way.faults.Read(std::min(due, wanted));
    const bool was_full = way.size >= buffer_bytes_;
    Take(way, pieces, count, n);
    way.next_read = now + way.faults.read_every();
    if (was_full) WakeEnd(Index(side) ^ 1);  // only then may its writer wait
    return static_cast<ssize_t>(n);
  }
  if (way.size > 0) return FailWith(EAGAIN);
  if (reset_) return FailWith(ECONNRESET);
  if (way.writer_closed && now >= way.closed_due) return 0;
  return FailWith(EAGAIN);
}

ssize_t InProcessPipe::Write(Side side, const iovec* pieces, int count) {
  MutexLock lock(mu_);
  Way& way = Out(side);
  if (way.writer_closed) return FailWith(EPIPE);
  if (reset_) return FailWith(ECONNRESET);
  const size_t offered = TotalOf(pieces, count);
  if (offered == 0) return 0;
  if (way.reader_closed && !In(side).faults.silent()) return FailWith(EPIPE);
  const bool vanishes = way.reader_closed || way.faults.silent();
  const size_t room = vanishes ? offered : buffer_bytes_ - way.size;
  if (room == 0) return FailWith(EAGAIN);
  const FaultCursor::Written written = way.faults.Write(std::min(offered, room));
  if (!way.reader_closed && written.arriving > 0) {
    way.last_due = std::max(way.last_due, way.clock->Now() + written.delay);
    Put(way, pieces, count, written.arriving, way.last_due, buffer_bytes_);
    WakeEnd(Index(side) ^ 1);
  }
  way.lost += written.taken - (way.reader_closed ? 0 : written.arriving);
  if (written.cut) {
    // What is on its way to the writer is lost; what it has written arrives.
    Drop(In(side));
    Reset();
    if (written.taken == 0) return FailWith(ECONNRESET);
  }
  return static_cast<ssize_t>(written.taken);
}

void InProcessPipe::Close(Side side) {
  MutexLock lock(mu_);
  wakers_[Index(side)].reset();
  Way& out = Out(side);
  if (out.writer_closed) return;
  out.writer_closed = true;
  if (!out.faults.silent()) {
    out.closed_due = std::max(out.last_due, out.clock->Now() + out.faults.DrawDelay());
  }
  Way& in = In(side);
  in.reader_closed = true;
  Drop(in);
  WakeEnd(Index(side) ^ 1);
}

size_t InProcessPipe::Unread(Side side) const {
  MutexLock lock(mu_);
  const Way& way = Out(side);
  return way.size + way.lost;
}

void InProcessPipe::SetWaker(Side side, std::shared_ptr<InProcessWaker> waker) {
  MutexLock lock(mu_);
  wakers_[Index(side)] = std::move(waker);
}

InProcessPipe::Readiness InProcessPipe::Look(Side side) const {
  MutexLock lock(mu_);
  Readiness result;
  const Way& in = In(side);
  const MonoTime now = in.clock->Now();
  if (in.reader_closed) {
    result.readable = true;
  } else if (held_) {
    // Hold tells when it ends.
  } else if (!in.runs.empty()) {
    const MonoTime at = std::max(in.runs.front().due, in.next_read);
    result.readable = at <= now;
    result.readable_at = at;
  } else if (reset_) {
    result.readable = true;
  } else if (in.writer_closed) {
    result.readable = in.closed_due <= now;
    result.readable_at = in.closed_due;
  }
  const Way& out = Out(side);
  result.writable = out.writer_closed || out.reader_closed || reset_ || out.faults.silent() ||
                    out.size < buffer_bytes_;
  return result;
}

// ---- the network

void InProcessPipe::Reset() {
  reset_ = true;
  WakeBoth();
}

void InProcessPipe::Cut() {
  MutexLock lock(mu_);
  for (Way& way : ways_) Drop(way);
  Reset();
}

void InProcessPipe::Change(const ConnectionFaults& faults) {
  MutexLock lock(mu_);
  const auto change = [](Way& way, FaultScript script) {
    // Bytes behind lost ones would be a stream with a hole, which no network makes.
    if (way.faults.silent()) script.drop_from = 0;
    way.faults = FaultCursor(script);
  };
  change(ways_[Index(Side::kDialer)], faults.to_listener);
  change(ways_[Index(Side::kListener)], faults.to_dialer);
  for (Way& way : ways_) way.next_read = MonoTime();
  WakeBoth();
}

void InProcessPipe::Hold(bool held) {
  MutexLock lock(mu_);
  held_ = held;
  WakeBoth();
}

bool InProcessPipe::open() const {
  MutexLock lock(mu_);
  return !reset_ && !(ways_[0].writer_closed && ways_[1].writer_closed);
}

void InProcessPipe::WakeEnd(size_t index) {
  if (wakers_[index] != nullptr) wakers_[index]->Wake();
}

void InProcessPipe::WakeBoth() {
  WakeEnd(0);
  WakeEnd(1);
}

}  // namespace weft
