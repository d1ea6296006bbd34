#include "weft/rpc/client/waiting_room.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weft/rpc/base/wire_status.h"

namespace weft {
namespace {

absl::Status Closed() { return absl::UnavailableError("the channel was closed"); }

PickRequest RequestOf(const OutboundCall& call) {
  PickRequest request;
  // A call that came back from a link does not fail with a pause, only with an attempt to connect.
  request.wait_for_ready = call.options.wait_for_ready || call.waits().resent > 0;
  call.DescribePick(&request);
  return request;
}

}  // namespace

WaitingRoom::WaitingRoom(LinkSource& source, IoThread& home, std::string target, size_t max_message,
                         size_t max_waiting)
    : source_(source),
      home_(home),
      loop_(home.loop),
      target_(std::move(target)),
      max_message_(max_message),
      waiting_(max_waiting) {}

template <typename Task>
void WaitingRoom::OnHome(Task task) {
  if (loop_->InLoop()) {
    loop_->AssertInLoop();
    task();
    return;
  }
  loop_->Post([keep = keeper_.lock(), this, task = std::move(task)](TaskFate fate) mutable {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    task();
  });
}

// ---- from any thread

void WaitingRoom::Send(OutboundCall& call, uint64_t gone) {
  if (empty() && Place(call, gone, Ending::kLater)) return;
  absl::Status refused = WaitingCalls::Keep(call, max_message_);
  if (refused.ok()) {
    Add(call);
  } else {
    CompleteLater(call, std::move(refused));
  }
}

bool WaitingRoom::Place(OutboundCall& call, uint64_t gone, Ending ending) {
  using StartResult = CallLink::StartResult;
  PickRequest request = RequestOf(call);
  std::vector<uint64_t> all_gone;  // mostly none
  if (gone > 0) all_gone.push_back(gone);
  while (true) {
    request.gone = all_gone;
    absl::Status why;
    const PickedLink picked = source_.Pick(request, &why);
    if (picked.link == nullptr && why.ok()) return false;
    if (picked.link != nullptr) {
      call.OnPicked(picked.number);
      const StartResult start = picked.link->TryStart(call, &why);
      if (start == StartResult::kStarted) return true;
      if (start == StartResult::kGone) {
        all_gone.push_back(picked.number);
        continue;
      }
    }
    if (ending == Ending::kNow) {
      CompleteNow(call, why);
    } else {
      CompleteLater(call, std::move(why));
    }
    return true;
  }
}

void WaitingRoom::Add(OutboundCall& call) {
  absl::Status refused;
  uint64_t id = 0;
  {
    MutexLock lock(mu_);
    refused = closed() ? Closed() : waiting_.Add(call);
    if (refused.ok()) {
      inside_.fetch_add(1, std::memory_order_relaxed);
      id = call.wire().id;
      if (call.wants_handle()) {
        call.Started(CallHandle(
            std::shared_ptr<CallCanceller>(keeper_.lock(), static_cast<CallCanceller*>(this)), id));
      }
    }
  }
  if (!refused.ok()) {
    CompleteLater(call, std::move(refused));
    return;
  }
  // From here on the loop may have ended the call.
  loop_->Post([keep = keeper_.lock(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) {
      if (OutboundCall* lost = Take(id)) {
        Leave();
        CompleteNow(*lost, Closed());
      }
      return;
    }
    loop_->AssertInLoop();
    Look(id);
  });
}

void WaitingRoom::CompleteLater(OutboundCall& call, absl::Status status) {
  loop_->Post([keep = keeper_.lock(), this, &call, status = std::move(status)](TaskFate) {
    CompleteNow(call, status);
  });
}

void WaitingRoom::CancelCall(uint64_t id) {
  loop_->Post([keep = keeper_.lock(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    if (OutboundCall* call = Take(id)) {
      Leave();
      CompleteNow(*call, absl::CancelledError("cancelled by the caller"));
    }
  });
}

void WaitingRoom::OnLink() {
  OnHome([this] {
    loop_->AssertInLoop();
    Sweep();
  });
}

void WaitingRoom::OnNoLink(const absl::Status& why, NoLink how) {
  const auto which =
      how == NoLink::kFailed ? WaitingCalls::Which::kFailFast : WaitingCalls::Which::kNew;
  if (empty()) return;
  OnHome([this, why, which] {
    loop_->AssertInLoop();
    EndMany(why, which);
  });
}

void WaitingRoom::Close() {
  MutexLock lock(mu_);
  closed_.store(true, std::memory_order_release);
}

// ---- on the home loop

void WaitingRoom::Look(uint64_t id) {
  PickRequest request;
  {
    MutexLock lock(mu_);
    OutboundCall* const call = waiting_.Find(id);
    // It went with the others, or failed with an attempt: then the next one has to wait its turn.
    if (call == nullptr) return;
    if (!call->in_wheel()) {  // else it was tried on a link, and put back
      call->wire().deadline_target = this;
      home_.wheel->Insert(call, call->plan().deadline);
    }
    request = RequestOf(*call);
  }
  absl::Status why;
  if (source_.Pick(request, &why).link != nullptr) {
    Sweep();
  } else if (why.ok()) {
    source_.Connect(/*at_once=*/false);
  } else if (OutboundCall* const call = Take(id)) {  // the source began to pause meanwhile
    Leave();
    CompleteNow(*call, why);
  }
}

// A call that finds no link waits on: its link is ending, or has ended, and its source sees to the
// next one.
void WaitingRoom::Sweep() {
  std::vector<uint64_t> ids;
  {
    MutexLock lock(mu_);
    ids = waiting_.Numbers(WaitingCalls::Which::kAll);
  }
  for (uint64_t id : ids) {
    OutboundCall* call = Take(id);
    if (call == nullptr) continue;
    if (!Place(*call, 0, Ending::kNow)) {
      PutBack(*call);
      return;
    }
    Leave();
  }
}

// A call that was taken, and that no link took: goes back to its place. It posts nothing: a call
// must not ask for a link again and again while there is none.
void WaitingRoom::PutBack(OutboundCall& call) {
  absl::Status refused;
  {
    MutexLock lock(mu_);
    refused = closed() ? Closed() : waiting_.PutBack(call);
    if (refused.ok()) {
      call.wire().deadline_target = this;
      home_.wheel->Insert(&call, call.plan().deadline);
      return;
    }
  }
  Leave();
  CompleteNow(call, refused);
}

void WaitingRoom::EndAll(const absl::Status& why) { EndMany(why, WaitingCalls::Which::kAll); }

void WaitingRoom::EndMany(const absl::Status& why, WaitingCalls::Which which) {
  std::vector<uint64_t> ids;
  {
    MutexLock lock(mu_);
    ids = waiting_.Numbers(which);
  }
  for (uint64_t id : ids) {
    if (OutboundCall* call = Take(id)) {
      Leave();
      CompleteNow(*call, why);
    }
  }
}

OutboundCall* WaitingRoom::Take(uint64_t id) WEFT_NO_THREAD_ANALYSIS {
  OutboundCall* call;
  {
    MutexLock lock(mu_);
    call = waiting_.Take(id);
  }
  if (call != nullptr) home_.wheel->Remove(call);
  return call;
}

void WaitingRoom::CompleteNow(OutboundCall& call, const absl::Status& status) {
  CallEnd end;
  end.may_have_been_executed = false;
  end.status =
      Annotate(status, absl::StrCat("call ", std::string(call.method.full_name), " to ", target_));
  end.by = CallEnd::By::kChannel;
  call.End(end);
}

void WaitingRoom::OnCallDeadline(OutboundCall& expired) {
  loop_->AssertInLoop();
  OutboundCall* const call = Take(expired.wire().id);
  if (call == nullptr) return;
  Leave();
  CompleteNow(*call,
              absl::DeadlineExceededError(absl::StrCat(
                  "no connection within ", InMs(call->plan().deadline - call->plan().started),
                  "; the request was not sent")));
}

}  // namespace weft
