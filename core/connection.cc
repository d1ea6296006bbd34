#include "weft/core/connection.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/timer.h"

namespace weft::internal {
namespace {

// How long one connection is read in a turn, its inline handlers included, while others wait.
constexpr Nanos kReadFor = std::chrono::milliseconds(1);

// Room for more of a frame whose owner does not say how much it needs.
constexpr size_t kHeadRoom = 64;

// UNAVAILABLE whatever the errno: EPIPE's own code is FAILED_PRECONDITION, ETIMEDOUT's says
// deadline.
absl::Status Broken(int error, absl::string_view what) {
  return absl::UnavailableError(absl::ErrnoToStatus(error, what).message());
}

}  // namespace

Connection::Connection(EventLoop& loop, InputArena& arena, std::shared_ptr<ConnectionHandle> handle,
                       ConnectionOwner* owner)
    : loop_(loop), arena_(arena), handle_(std::move(handle)), owner_(owner) {
  loop_.AssertInLoop();
  handle_->connection_ = this;
}

Connection::~Connection() {
  loop_.AssertInLoop();
  if (closed_) return;
  closed_ = true;
  StopWatch();
  DropRest();
  handle_->connection_ = nullptr;
  handle_->output().Close();
}

absl::Status Connection::Start(std::unique_ptr<Watch> watch) {
  // A new connection counts as heard just now, or the first look at its silence would end it.
  last_read_ = loop_.now();
  // The watch of a handshake or a sniffer is taken over, so the descriptor is not registered twice.
  if (watch != nullptr) {
    watch_ = std::move(watch);
    watch_->SetEvents(this);
  } else {
    absl::StatusOr<std::unique_ptr<Watch>> made =
        handle_->output().transport().NewWatch(loop_, this);
    if (!made.ok()) return made.status();
    watch_ = *std::move(made);
  }
  WatchRead(true);
  return absl::OkStatus();
}

void Connection::Take(const ReadAhead& first) {
  if (closed_ || first.size == 0) return;
  last_read_ = loop_.now();
  bytes_read_ += first.size;
  HandOut(first.block, first.data, first.size);
  if (!closed_) AfterRead();
}

void Connection::WatchRead(bool on) {
  if (watch_ != nullptr) watch_->WatchRead(on);
}

void Connection::WatchWrite(bool on) {
  if (watch_ != nullptr) watch_->WatchWrite(on);
}

void Connection::StopWatch() {
  if (watch_ != nullptr) watch_->Stop();
}

void Connection::OnReadable() {
  loop_.AssertInLoop();
  if (closing_ != nullptr && closing_->output_ended) {
    ReadToEnd();
    return;
  }
  last_read_ = loop_.now();
  const uint64_t before = bytes_read_;
  // After the first read, so that a small one costs no look at the clock.
  MonoTime until = kNever;
  // All four can change inside the owner's callbacks. A busy peer is bounded twice: by bytes, and
  // by the time that its handlers take.
  while (ReadOnce() && closing_ == nullptr && !paused_ && bytes_read_ - before < kReadAtOnce) {
    const MonoTime now = loop_.clock().Now();
    if (until == kNever) until = now + kReadFor;
    if (now >= until) break;
  }
  if (!closed_) AfterRead();
}

void Connection::AfterRead() {
  owner_->OnReadEnd();
  // The replies that the read caused are queued by now. Only where the socket is full can they have
  // passed the high watermark.
  if (blocked_ && pause_ != nullptr && !closed_) UpdatePause();
}

bool Connection::ReadOnce() {
  // One readv fills up to three places, in the order of the stream: the owner's own memory, the
  // unfinished frame, the arena. The first two are never wanted together: KeepRest is called only
  // when no direct read is, and the owner asks for one only after the rest was dropped.
  iovec pieces[3];
  int count = 0;
  const size_t direct = need_.direct_size;
  if (direct > 0) pieces[count++] = {need_.direct, direct};
  // The rest is read to the end of its frame; before a direct read there is none.
  const size_t rest_room = rest_ ? rest_room_ - rest_size_ : 0;
  if (rest_room > 0) pieces[count++] = {rest_->data() + rest_size_, rest_room};
  char* const space = arena_.space();
  // Limited where the bytes behind the direct read are wanted directly, too: what comes into the
  // arena has to be copied out again.
  const size_t room = direct > 0 ? std::min(arena_.room(), need_.behind_direct) : arena_.room();
  pieces[count++] = {space, room};
  const ssize_t n = handle_->output().transport().Read(pieces, count);
  if (n > 0) {
    bytes_read_ += static_cast<size_t>(n);
    arena_.Active();
    // A read that left room has emptied the socket: another one would cost a system call to say
    // EAGAIN.
    const bool full = static_cast<size_t>(n) == direct + rest_room + room;
    return Distribute(static_cast<size_t>(n), direct, rest_room) && full;
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  // 0 is the peer's orderly end of file.
  Close(n == 0 ? absl::OkStatus() : Broken(errno, "read"));
  return false;
}

// Hands out the `n` bytes of one read, in the order of the stream. The owner may close the
// connection in each of its callbacks, so `closed_` is looked at after every one. False: it was
// closed.
bool Connection::Distribute(size_t n, size_t direct, size_t rest_room) {
  if (direct > 0) {
    const size_t filled = std::min(n, direct);
    n -= filled;
    need_.direct += filled;
    need_.direct_size -= filled;
    owner_->OnDirect(filled);
    if (closed_) return false;
  }
  const char* data = arena_.space();
  if (rest_room > 0 && n > 0) {
    const size_t filled = std::min(n, rest_room);
    n -= filled;
    rest_size_ += filled;
    const size_t taken = CompleteRest(data, n);
    if (closed_) return false;
    data += taken;
    n -= taken;
  }
  // The rest may have ended with the header of a frame that the owner takes directly: what followed
  // it is here.
  if (need_.direct_size > 0 && n > 0) {
    const size_t filled = std::min(n, need_.direct_size);
    std::memcpy(need_.direct, data, filled);
    data += filled;
    n -= filled;
    need_.direct += filled;
    need_.direct_size -= filled;
    owner_->OnDirect(filled);
    if (closed_) return false;
  }
  if (n == 0) return true;
  const size_t seen = static_cast<size_t>(data - arena_.space()) + n;
  HandOut(arena_.block(), data, n);
  arena_.Release(seen);  // also when it was closed: the owner may have kept slices
  return !closed_;
}

// Keeps the bytes that the owner did not use. The owner may close the connection inside OnBytes.
void Connection::HandOut(const BlockRef& block, const char* data, size_t n) {
  need_.frame = 0;
  const size_t used = owner_->OnBytes(block, data, n, &need_);
  if (!closed_ && used < n) (void)KeepRest(data + used, n - used);
}

// Hands out the rest. While its frame is unfinished, as where the header was split, it is joined
// with as much of the `n` bytes at `data` as the owner asks for, so that those behind it are not
// copied. Returns how many bytes were taken from there; the connection may be closed.
size_t Connection::CompleteRest(const char* data, size_t n) {
  BlockRef rest = rest_;
  size_t size = rest_size_;
  DropRest();  // the owner counts the parts that it keeps
  size_t taken = 0;
  while (true) {
    need_.frame = 0;
    const size_t used = owner_->OnBytes(rest, rest->data(), size, &need_);
    if (closed_ || used == size) return taken;
    const char* const left = rest->data() + used;
    size -= used;
    if (taken == n) {
      (void)KeepRest(left, size);
      return taken;
    }
    // Without a known size the piece doubles, so that the copying stays linear in the frame's size.
    const size_t wanted = need_.frame > size ? need_.frame - size : std::max(size, kHeadRoom);
    const size_t more = std::min(wanted, n - taken);
    BlockRef joined = arena_.large().TryGet(std::max(size + more, need_.frame));
    if (!joined) {
      CloseWithoutMemory(size + more);
      return taken;
    }
    std::memcpy(joined->data(), left, size);
    std::memcpy(joined->data() + size, data + taken, more);
    taken += more;
    size += more;
    rest = std::move(joined);
  }
}

// False: the connection was closed, for want of memory or because too much is held already. A peer
// that is known may always have a half frame of usual size: else its connection, and not a call,
// would end where others hold too much.
bool Connection::KeepRest(const char* data, size_t size) {
  WEFT_DCHECK(need_.direct_size == 0 && !rest_);
  // To the end of its frame and no further: what comes behind it is read into the arena.
  const size_t room = need_.frame > size ? need_.frame : size + kHeadRoom;
  InputAccount& account = handle_->input();
  if (account.known() && room <= InputAccount::kStep + kHeadRoom) {
    account.Add(room);
  } else if (const absl::Status s = account.TryAdd(room); !s.ok()) {
    Close(s);
    return false;
  }
  rest_room_ = room;
  rest_ = arena_.large().TryGet(room);
  if (!rest_) {
    account.Remove(room);
    return CloseWithoutMemory(room);
  }
  std::memcpy(rest_->data(), data, size);
  rest_size_ = size;
  return true;
}

void Connection::DropRest() {
  if (!rest_) return;
  handle_->input().Remove(rest_room_);
  rest_.reset();
  rest_size_ = 0;
}

bool Connection::CloseWithoutMemory(size_t size) {
  Close(absl::ResourceExhaustedError(absl::StrCat("no memory for ", size, " bytes of input")));
  return false;
}

void Connection::ForgetDirect() { need_ = InputNeed(); }

void Connection::OnWritable() {
  loop_.AssertInLoop();
  WatchWrite(false);
  blocked_ = false;
  if (handle_->output().Unblock()) Flushed(handle_->output().Flush());
}

void Connection::OnWatchFailed(const absl::Status& why) {
  loop_.AssertInLoop();
  Close(closing_ != nullptr ? closing_->why : absl::UnavailableError(why.message()));
}

void Connection::Flushed(OutputQueue::Flushed result) {
  switch (result) {
    case OutputQueue::Flushed::kAll:
      break;
    case OutputQueue::Flushed::kBlocked:
      blocked_ = true;
      WatchWrite(true);
      break;
    case OutputQueue::Flushed::kBroken:
      // Report the reason we were already closing for, not this write error.
      Close(closing_ != nullptr ? closing_->why : Broken(handle_->output().error(), "write"));
      return;
    case OutputQueue::Flushed::kClosed:
      return;
  }
  if (pause_ != nullptr) UpdatePause();
  if (closing_ != nullptr && result == OutputQueue::Flushed::kAll) EndOutput();
}

void Connection::PauseReadsAbove(size_t low, size_t high) {
  pause_ = high == 0 ? nullptr : std::make_unique<Watermark>(low, high);
  UpdatePause();
}

void Connection::HoldReads(bool held) {
  if (closed_) return;
  reads_held_ = held;
  UpdatePause();
}

void Connection::UpdatePause() {
  if (closing_ != nullptr) return;  // has stopped reading for good
  size_t queued = 0;
  if (pause_ != nullptr) {
    MutexLock lock(handle_->output().mutex());
    queued = handle_->output().unsent();
    pause_->Update(queued);
  }
  const bool pause = reads_held_ || (pause_ != nullptr && pause_->above());
  if (pause == paused_) return;
  paused_ = pause;
  if (!pause) resumed_ = loop_.clock().Now();
  WatchRead(!pause);
}

void Connection::CloseAfterFlush(const absl::Status& reason, Nanos limit, Until until) {
  if (closed_ || closing_ != nullptr) return;
  // Before the mutex is taken: a flusher that empties the queue after the look below took the mutex
  // later, so it sees this and reports the end, which then closes the connection.
  handle_->tell_when_empty_.store(true, std::memory_order_relaxed);
  bool empty;
  bool claimed;
  {
    MutexLock lock(handle_->output().mutex());
    empty = handle_->output().Empty();
    claimed = handle_->output().Claim();
  }
  closing_ = std::make_unique<Closing>(reason, until);
  WatchRead(false);
  if (empty) EndOutput();
  if (closed_) return;
  closing_->limit = std::make_unique<Timer>(loop_, [this] {
    loop_.AssertInLoop();
    Close(closing_->why);
  });
  closing_->limit->StartAfter(limit);
  // The queue was idle, so there is no flusher under way that would write these last bytes.
  if (claimed) handle_->FlushOnLoop();
}

// All is written that is to be. Credit or a heartbeat of the peer's that reaches a closed socket
// is answered with a reset, which would take with it what the network has not delivered yet.
void Connection::EndOutput() {
  {
    MutexLock lock(handle_->output().mutex());
    // A frame may have been appended since the flush: its flusher tells us when it is written.
    if (!handle_->output().Empty()) return;
    handle_->output().Seal();
  }
  if (closing_->until == Until::kWritten || !handle_->output().transport().EndWrites()) {
    Close(closing_->why);
    return;
  }
  closing_->output_ended = true;
  WatchRead(true);
}

// Drops what the peer still sends, up to its end of file.
void Connection::ReadToEnd() {
  for (size_t dropped = 0; dropped < kReadAtOnce;) {
    const iovec piece{arena_.space(), arena_.room()};
    const ssize_t n = handle_->output().transport().Read(&piece, 1);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n <= 0) {
      Close(closing_->why);
      return;
    }
    dropped += static_cast<size_t>(n);
  }
}

void Connection::Close(const absl::Status& reason) {
  if (std::exchange(closed_, true)) return;
  // A copy, since OnClosed may have the owner let go of the handle's last other reference.
  const std::shared_ptr<ConnectionHandle> keep = handle_;
  const absl::Status why = reason;  // may be our own member
  StopWatch();
  closing_.reset();
  handle_->connection_ = nullptr;
  handle_->output().Close();
  const size_t pending = rest_size_;
  DropRest();
  owner_->OnClosed(why, pending);
}

}  // namespace weft::internal
