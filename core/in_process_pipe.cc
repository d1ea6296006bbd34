#include "weft/core/in_process_pipe.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace weft::internal {
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
                             const Clock& dialer, const Clock& listener,
                             std::shared_ptr<InProcessTap> tap, InProcessRoute route)
    : number_(number),
      // Without room for one byte no write would ever succeed.
      buffer_bytes_(std::max<size_t>(buffer_bytes, 1)),
      tap_(std::move(tap)),
      route_(std::move(route)) {
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
    // Runs are in the order of their times, see Schedule.
    if (run.due > now) break;
    due += run.size;
  }
  return due;
}

void InProcessPipe::Put(Way& way, const iovec* pieces, int count, size_t n, size_t bound) {
  if (n == 0) return;
  if (way.size + n > way.ring.size()) {
    // Grows by doubling up to its bound: most connections of a simulation carry little.
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
}

void InProcessPipe::AddRun(Way& way, size_t n, MonoTime due) {
  if (!way.runs.empty() && way.runs.back().due == due) {
    way.runs.back().size += n;
  } else {
    way.runs.push_back({n, due});
  }
}

void InProcessPipe::Schedule(Way& way, size_t n, Nanos delay) {
  // One write is sent behind the other (`wire_free`), and none arrives before the one written ahead
  // of it (`last_due`), however short its own delay: bytes stay in order. A slow wire brings them
  // piece by piece, so that the reader has the first before the last was sent.
  way.wire_free = std::max(way.wire_free, way.clock->Now());
  while (n > 0) {
    const size_t piece = std::min(n, kSlowPiece);
    const Nanos on_wire = way.faults.WireTime(piece);
    const size_t run = on_wire == Nanos::zero() ? n : piece;
    way.wire_free += on_wire;
    way.last_due = std::max(way.last_due, way.wire_free + delay);
    AddRun(way, run, way.last_due);
    n -= run;
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
  if (way.held) return FailWith(EAGAIN);
  const MonoTime now = way.clock->Now();
  // As with a socket, bytes that have arrived are read before a reset or the other end's close
  // shows.
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
  // Bytes are on their way. A reset or a close is seen behind them only.
  if (way.size > 0) return FailWith(EAGAIN);
  if (reset_[Index(side)]) return FailWith(ECONNRESET);
  if (way.writer_closed && now >= way.closed_due) return 0;
  return FailWith(EAGAIN);
}

ssize_t InProcessPipe::Write(Side side, const iovec* pieces, int count) {
  MutexLock lock(mu_);
  Way& way = Out(side);
  if (way.writer_closed) return FailWith(EPIPE);
  const size_t offered = TotalOf(pieces, count);
  if (reset_[Index(side)]) {
    if (!In(side).held) return FailWith(ECONNRESET);
    way.lost += offered;  // the news of the reset is held, too
    return static_cast<ssize_t>(offered);
  }
  if (offered == 0) return 0;
  // Where the reader's direction is silent the news of its close has vanished, and so do these
  // bytes.
  if (way.reader_closed && !In(side).faults.silent()) return FailWith(EPIPE);
  const bool vanishes = way.reader_closed || way.faults.silent();
  // Vanishing bytes need no room: on a real network they would have left this machine.
  const size_t room = vanishes ? offered : buffer_bytes_ - way.size;
  if (room == 0) return FailWith(EAGAIN);
  const FaultCursor::Written written = way.faults.Write(std::min(offered, room));
  if (!way.reader_closed && written.arriving > 0) {
    Put(way, pieces, count, written.arriving, buffer_bytes_);
    Schedule(way, written.arriving, written.delay);
    WakeEnd(Index(side) ^ 1);
  }
  if (tap_ != nullptr) {
    tap_->OnBytes(route_, side == Side::kDialer, pieces, written.taken,
                  written.arriving < written.taken || way.reader_closed);
  }
  way.lost += written.taken - (way.reader_closed ? 0 : written.arriving);
  if (written.cut) {
    // As with a TCP reset: bytes on their way to this side are lost, bytes it wrote before still
    // arrive.
    Drop(In(side));
    Reset();
    if (written.taken == 0) return FailWith(ECONNRESET);
  }
  return static_cast<ssize_t>(written.taken);
}

void InProcessPipe::Close(Side side) {
  MutexLock lock(mu_);
  // The end's loop may go after this, so it is not woken any more.
  wakers_[Index(side)].reset();
  Way& out = Out(side);
  if (out.writer_closed) return;
  out.writer_closed = true;
  if (tap_ != nullptr) tap_->OnClose(route_, side == Side::kDialer);
  if (!out.faults.silent()) {
    // The news of the close travels behind the last byte.
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
  } else if (in.held) {
    // Hold tells when it ends.
  } else if (!in.runs.empty()) {
    const MonoTime at = std::max(in.runs.front().due, in.next_read);
    result.readable = at <= now;
    result.readable_at = at;
  } else if (reset_[Index(side)]) {
    result.readable = true;
  } else if (in.writer_closed) {
    result.readable = in.closed_due <= now;
    result.readable_at = in.closed_due;
  }
  const Way& out = Out(side);
  result.writable = out.writer_closed || out.reader_closed || reset_[Index(side)] ||
                    out.faults.silent() || out.size < buffer_bytes_;
  return result;
}

// ---- the network

void InProcessPipe::Reset() {
  reset_ = {true, true};
  WakeBoth();
}

void InProcessPipe::FallSilent() {
  for (Way& way : ways_) {
    Drop(way);
    // Later writes vanish too.
    way.faults = FaultCursor(FaultScript{.drop_from = 0});
    way.closed_due = kNever;
  }
}

void InProcessPipe::CutOneEnd(Side hears) {
  MutexLock lock(mu_);
  FallSilent();
  reset_[Index(hears)] = true;
  WakeBoth();
}

void InProcessPipe::Silence() {
  MutexLock lock(mu_);
  FallSilent();
  WakeBoth();
}

void InProcessPipe::Cut(Held held) {
  MutexLock lock(mu_);
  for (Way& way : ways_) {
    Drop(way);
    if (held == Held::kHearsNow) way.held = false;
  }
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
  // The old script's pace does not hold back the first read under the new one.
  for (Way& way : ways_) way.next_read = MonoTime();
  WakeBoth();
}

void InProcessPipe::Hold(Side writer, bool held) {
  MutexLock lock(mu_);
  Out(writer).held = held;
  WakeBoth();
}

bool InProcessPipe::open() const {
  MutexLock lock(mu_);
  // A reset counts only when nothing holds back its news: until then the held end takes the
  // connection for open.
  const bool heard = reset() && !ways_[0].held && !ways_[1].held;
  return !heard && !(ways_[0].writer_closed && ways_[1].writer_closed);
}

void InProcessPipe::WakeEnd(size_t index) {
  if (wakers_[index] != nullptr) wakers_[index]->Wake();
}

void InProcessPipe::WakeBoth() {
  WakeEnd(0);
  WakeEnd(1);
}

}  // namespace weft::internal
