#include "weft/rpc/client/waiting_room.h"

#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weft/core/named_peer.h"
#include "weft/rpc/base/wire_status.h"

namespace weft::internal {
namespace {

PickRequest RequestOf(const OutboundCall& call) {
  PickRequest request;
  // A call that came back from a link does not end because the source pauses, only because an
  // attempt to connect fails.
  request.wait_for_ready = call.options.wait_for_ready || call.waits().resent > 0;
  // Calls of an ordered method have the same hash, and so go the same way where there are several.
  // A hash of 0 means none, hence the 1.
  if (call.method.ordered) {
    request.hash = std::hash<std::string_view>()(call.method.full_name) | 1;
    request.ordered = call.method.full_name;
  }
  call.DescribePick(&request);
  return request;
}

}  // namespace

WaitingRoom::WaitingRoom(LinkSource& source, IoThread& home, std::string target,
                         const MessageLimit& max_message, size_t max_waiting)
    : source_(source),
      home_(home),
      loop_(home.loop),
      target_(std::move(target)),
      one_link_(source.slot() != nullptr),
      max_message_(max_message),
      room_queue_(placer_, home, one_link_, max_message, max_waiting),
      waiting_(max_waiting, max_message.owner) {}

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
  if (!MayPass(call)) {
    room_queue_.Add(call, {});
    return;
  }
  // With nobody waiting the call may be placed from this thread. A call of another thread may get
  // in between: for calls at the same moment there is no order.
  if (empty()) {
    FullLinks full;
    switch (Place(call, gone, Ending::kLater, &full)) {
      case Try::kDone:
        return;
      case Try::kNoRoom:
        room_queue_.Add(call, full.found);
        return;
      case Try::kNoLink:
        break;
    }
  }
  Keep(call);
}

void WaitingRoom::Keep(OutboundCall& call) {
  absl::Status refused = WaitingCalls::Keep(call, max_message_);
  if (refused.ok()) {
    Add(call);
  } else {
    CompleteLater(call, std::move(refused));
  }
}

void WaitingRoom::OnFull(OutboundCall& call, const PickedLink& full, absl::Status why) {
  if (call.options.wait_for_room) {
    room_queue_.Add(call, {full});
  } else {
    CompleteLater(call, std::move(why), /*output_full=*/true);
  }
}

CallPlacer::Placed WaitingRoom::Placer::PlaceAgain(OutboundCall& call, FullLinks* full) {
  const bool any_link = room.one_link_ || !room.HasOneLink(call);
  const Try tried = room.Place(call, 0, Ending::kNow, full);
  if (tried == Try::kNoRoom) return any_link ? Placed::kAllFull : Placed::kNoRoom;
  if (tried == Try::kNoLink) room.Keep(call);
  return Placed::kDone;
}

WaitingRoom::Try WaitingRoom::Place(OutboundCall& call, uint64_t gone, Ending ending,
                                    FullLinks* full) {
  using StartResult = CallLink::StartResult;
  const bool one_link = HasOneLink(call);
  PickRequest request = RequestOf(call);
  std::vector<uint64_t> not_these;  // usually empty: no allocation
  if (!one_link) not_these = full->known;
  if (gone > 0) not_these.push_back(gone);
  bool any_full = !one_link && !full->known.empty();
  absl::Status why_full;
  while (true) {
    request.gone = not_these;
    absl::Status why;
    const PickedLink picked = source_.Pick(request, &why);
    if (picked.link == nullptr) {
      if (any_full) break;
      if (why.ok()) return Try::kNoLink;
      End(call, std::move(why), ending, /*output_full=*/false);
      return Try::kDone;
    }
    if (one_link && full->Contains(picked.number)) break;
    // Before TryStart: afterwards the call may have ended and be gone.
    call.OnPicked(picked.number);
    switch (picked.link->TryStart(call, &why)) {
      case StartResult::kStarted:
        return Try::kDone;
      case StartResult::kRefused:
        End(call, std::move(why), ending, /*output_full=*/false);
        return Try::kDone;
      case StartResult::kGone:
        break;
      case StartResult::kFull:
        // `picked` may hold no share of its link; it is valid until this thread returns to its
        // loop, and AwaitRoom is called before that.
        any_full = true;
        full->Add(picked);
        why_full.Update(why);
        break;
    }
    if (any_full && one_link) break;
    not_these.push_back(picked.number);
  }
  if (call.options.wait_for_room) return Try::kNoRoom;
  End(call, std::move(why_full), ending, /*output_full=*/true);
  return Try::kDone;
}

void WaitingRoom::End(OutboundCall& call, absl::Status status, Ending ending, bool output_full) {
  if (ending == Ending::kNow) {
    CompleteNow(call, status, output_full);
  } else {
    CompleteLater(call, std::move(status), output_full);
  }
}

void WaitingRoom::Add(OutboundCall& call) {
  absl::Status refused;
  uint64_t id = 0;
  {
    MutexLock lock(mu_);
    refused = closed() ? WaitingCalls::Closed() : waiting_.Add(call);
    if (refused.ok()) {
      // Counted before the lock is released, so that calls behind it see that somebody waits.
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
  // From here on the loop may have ended the call, so only its number is used.
  loop_->Post([keep = keeper_.lock(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) {
      // The home loop has closed, so no sweep will come: the call ends here, on whichever thread
      // this is.
      if (OutboundCall* lost = Take(id)) {
        Leave();
        CompleteNow(*lost, WaitingCalls::Closed());
      }
      return;
    }
    loop_->AssertInLoop();
    Look(id);
  });
}

void WaitingRoom::CompleteLater(OutboundCall& call, absl::Status status, bool output_full) {
  loop_->Post([keep = keeper_.lock(), this, &call, status = std::move(status),
               output_full](TaskFate) { CompleteNow(call, status, output_full); });
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
    room_queue_.OnLink();  // its calls have waited longer
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
  room_queue_.Close();
  MutexLock lock(mu_);
  closed_.store(true, std::memory_order_release);
}

// ---- on the home loop

void WaitingRoom::Look(uint64_t id) {
  PickRequest request;
  {
    MutexLock lock(mu_);
    OutboundCall* const call = waiting_.Find(id);
    // The call was placed with the others, or ended with a failed attempt. In the latter case the
    // next attempt has to wait its turn, so nothing asks for it here.
    if (call == nullptr) return;
    if (!call->in_wheel()) {  // else a sweep has tried it and put it back
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
// next one. A call of an ordered method has only one way. Unordered calls behind it may still find
// a link, but other ordered ones must not overtake it.
void WaitingRoom::Sweep() {
  std::vector<uint64_t> ids;
  {
    MutexLock lock(mu_);
    ids = waiting_.Numbers(WaitingCalls::Which::kAll);
  }
  bool ordered_wait = false;
  for (uint64_t id : ids) {
    OutboundCall* call = Take(id);
    if (call == nullptr) continue;
    const bool ordered = call->method.ordered;
    FullLinks full;
    const Try tried = ordered && ordered_wait ? Try::kNoLink : Place(*call, 0, Ending::kNow, &full);
    if (tried == Try::kNoLink) {
      PutBack(*call);
      if (!ordered) return;
      ordered_wait = true;
      continue;
    }
    // Only now: while the call was tried it still counted as waiting, so nobody could overtake it.
    Leave();
    if (tried == Try::kNoRoom) room_queue_.Add(*call, full.found);
  }
}

// Puts a call that no link took back to its place. It posts nothing: a call must not ask for a link
// again and again while there is none.
void WaitingRoom::PutBack(OutboundCall& call) {
  absl::Status refused;
  {
    MutexLock lock(mu_);
    refused = closed() ? WaitingCalls::Closed() : waiting_.PutBack(call);
    if (refused.ok()) {
      call.wire().deadline_target = this;
      home_.wheel->Insert(&call, call.plan().deadline);
      return;
    }
  }
  Leave();
  CompleteNow(call, refused);
}

void WaitingRoom::EndAll(const absl::Status& why) {
  EndMany(why, WaitingCalls::Which::kAll);
  room_queue_.EndAll(why);
}

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
  // The wheel is the loop's. On another thread this runs only after the loop has closed.
  if (call != nullptr) home_.wheel->Remove(call);
  return call;
}

void WaitingRoom::CompleteNow(OutboundCall& call, const absl::Status& status, bool output_full) {
  CallEnd end;
  end.may_have_been_executed = false;
  end.status = WithMessage(
      status, absl::StrCat("call ", std::string(call.method.full_name), ": ",
                           NamedPeer::AtEnd(std::string(status.message()), "to", target_)));
  end.by = CallEnd::By::kChannel;
  end.output_full = output_full;
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

}  // namespace weft::internal
