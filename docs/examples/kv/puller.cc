#include "puller.h"

#include <chrono>
#include <utility>

namespace weft::examples::kv {
namespace {

constexpr std::chrono::milliseconds kEvery(250);
// A node that may not answer yet pulls more often.
constexpr std::chrono::milliseconds kEveryUntilWhole(20);

}  // namespace

Puller::Puller(Node& node, NodeReplica& replica, std::string other, bool lives_only)
    : node_(node),
      replica_(replica),
      other_(std::move(other)),
      lives_only_(lives_only),
      thread_([this] { Run(); }) {}

Puller::~Puller() {
  {
    const std::lock_guard lock(mu_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Puller::Wake() {
  {
    const std::lock_guard lock(mu_);
    woken_ = true;
  }
  wake_.notify_one();
}

void Puller::Run() {
  std::unique_lock lock(mu_);
  while (!ending_) {
    woken_ = false;
    lock.unlock();
    PullOnce().IgnoreError();  // the next round tries again
    const bool whole = replica_.CheckWhole().ok();
    lock.lock();
    wake_.wait_for(lock, whole ? kEvery : kEveryUntilWhole, [this] { return woken_ || ending_; });
  }
}

absl::Status Puller::PullOnce() {
  PullRequest request;
  *request.mutable_from() = replica_.self();
  request.set_of_life(of_life_);
  request.set_after(after_);
  Replica::Stub other(node_.To(other_));
  auto stream = other.Pull(request, {.timeout = absl::Seconds(2)});
  PullReply piece;
  bool whole = false, first = true;
  while (stream.Read(&piece)) {
    if (lives_only_) piece.clear_entries();
    replica_.Take(piece);
    // Only the first piece says if the other node was whole when the stream began.
    if (std::exchange(first, false)) whole = piece.whole();
    of_life_ = piece.of().life();
    after_ = piece.upto();
    piece.Clear();
  }
  absl::Status status = stream.Finish();
  // Only a whole stream counts: part of a memory may lack any write.
  if (status.ok() && whole) replica_.Merged(other_);
  return status;
}

}  // namespace weft::examples::kv
