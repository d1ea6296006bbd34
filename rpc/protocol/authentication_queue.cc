#include "weft/rpc/protocol/authentication_queue.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/named_peer.h"

namespace weft::internal {

absl::StatusOr<std::unique_ptr<AuthenticationQueue>> AuthenticationQueue::Create(
    Authenticator authenticator, const Options& options, const Log& log, const Clock& clock) {
  WorkerPoolOptions pool;
  pool.name = "weft-auth";
  pool.threads = std::max(options.threads, 1);
  pool.log = log;
  pool.steps = options.steps;
  absl::StatusOr<std::unique_ptr<WorkerPool>> made = WorkerPool::Create(std::move(pool));
  if (!made.ok()) return made.status();
  return std::unique_ptr<AuthenticationQueue>(
      new AuthenticationQueue(std::move(authenticator), options, log, clock, *std::move(made)));
}

AuthenticationQueue::AuthenticationQueue(Authenticator authenticator, const Options& options,
                                         const Log& log, const Clock& clock,
                                         std::unique_ptr<WorkerPool> pool)
    : authenticator_(std::move(authenticator)),
      threads_(static_cast<size_t>(std::max(options.threads, 1))),
      places_(options.places),
      side_(options.side),
      log_(log),
      clock_(clock),
      pool_(std::move(pool)) {}

std::string AuthenticationQueue::Question::Line(std::string_view cause) const {
  const std::string of_call = method.empty() ? "" : absl::StrCat("call ", method, ": ");
  return NamedPeer::AtEnd(absl::StrCat(of_call, AbslView(cause)), "from", peer);
}

uint64_t AuthenticationQueue::Ask(const AuthenticationRequest& asks, Verdict verdict) {
  Question question{std::string(asks.token),     asks.peer,
                    std::move(verdict),          asks.transport,
                    std::string(asks.scheme),    std::string(asks.method),
                    std::string(asks.connection)};
  uint64_t number;
  bool runs;
  {
    MutexLock lock(mu_);
    number = ++last_;
    // Nothing waits while a thread is free, because Run ends only when nothing waits. So this
    // question overtakes none.
    runs = running_ < threads_;
    if (runs) {
      ++running_;
    } else if (places_->TryTake()) {
      waiting_.emplace(number, std::move(question));
      return number;
    }
  }
  if (runs) {
    pool_->Execute([this, first = std::move(question)]() mutable { Run(std::move(first)); });
    return number;
  }
  LogLine(LogLevel::kWarning,
          question.Line(
              absl::StrCat(asks.is_call() ? "refused: " : "connection refused: ", places_->max(),
                           " wait for the authenticator already (max_waiting_authentications)")));
  // Without this side's settings: the peer is not authenticated yet.
  question.verdict(absl::UnavailableError(asks.is_call()
                                              ? "too many calls wait to be authenticated"
                                              : "too many connections wait to be authenticated"));
  return number;
}

void AuthenticationQueue::Drop(uint64_t number) {
  Question dropped;  // destroyed without the mutex
  MutexLock lock(mu_);
  const auto it = waiting_.find(number);
  if (it == waiting_.end()) return;
  dropped = std::move(it->second);
  waiting_.erase(it);
  places_->GiveBack();
}

void AuthenticationQueue::Run(Question first) {
  for (Question next = std::move(first);;) {
    // A fresh Question takes the old one's place: nothing of a peer's token stays behind while this
    // thread looks for the next.
    Answer(std::exchange(next, Question()));
    MutexLock lock(mu_);
    if (waiting_.empty()) {
      std::vector<std::function<void()>> told;
      // Under the same lock as the check that nothing waits, so that an Ask in between starts a
      // thread.
      if (--running_ == 0) told.swap(when_idle_);
      lock.Unlock();
      for (const auto& idle : told) idle();
      return;
    }
    // Numbers rise, so the first of the map has waited the longest.
    const auto oldest = waiting_.begin();
    next = std::move(oldest->second);
    waiting_.erase(oldest);
    places_->GiveBack();
  }
}

void AuthenticationQueue::Answer(Question question) {
  // Refused unless it says otherwise: an exception must never let anybody in.
  absl::StatusOr<std::string> identity = absl::InternalError("the authenticator threw");
  std::string what;
  try {
    identity = authenticator_({question.token, question.peer, question.transport, question.scheme,
                               question.method, question.connection});
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {
    what = "no std::exception";
  }
  if (!what.empty()) {
    LogLine(LogLevel::kError, question.Line(absl::StrCat("the authenticator threw: ", what)));
  }
  question.verdict(std::move(identity));
}

void AuthenticationQueue::LogLine(LogLevel level, std::string_view line) {
  int64_t dropped = 0;
  if (!log_.Wants(level) || !limiter_.Allow(clock_.Now(), &dropped)) return;
  log_.Write(level,
             absl::StrCat(side_, ": ", AbslView(line),
                          dropped > 0 ? absl::StrCat("; ", dropped, " lines were left out") : ""));
}

void AuthenticationQueue::WhenIdle(std::function<void()> idle) {
  {
    MutexLock lock(mu_);
    if (running_ > 0) {
      when_idle_.push_back(std::move(idle));
      return;
    }
  }
  idle();
}

AuthenticationQueue::Counts AuthenticationQueue::counts() const {
  MutexLock lock(mu_);
  return {waiting_.size(), running_};
}

}  // namespace weft::internal
