// Makes one call to every member of a group, and reduces the replies to one result.
//
//   weft::BroadcastResult<PutReply> result = weft::Broadcast(
//       node, Kv::kPut, request, {.want = weft::Want::Majority(), .self = weft::Self::kCall});
//   if (!result.status.ok()) …      // "broadcast Kv/Put: 2 of 5 answered, 3 needed: d: …; e: …"
//
// The group is the node's view as it is when the broadcast starts, or BroadcastOptions::to. Members
// that come later are not called, and those that leave remain counted.
//
// Want says when the outcome is certain. All(): each has answered well; one failure is the end.
// Majority(): more than half of the members, oneself among them, whether they can be reached or
// not; `self` has to say whether this node counts. First(), AtLeast(k): so many. Each(): the end of
// each is waited for, and all that was said is in the result; OK if all were. As soon as the
// outcome is certain, either way, the broadcast ends: calls that are still under way are cancelled,
// or go on unseen (let_rest_run).
//
// A reducer looks at the replies as they come, one at a time, and may decide by them: Agreed,
// Newest, Fold, Decide, or one's own (rpc/mesh/reducer.h). It outlives the outcome.
//
// Four forms, as of a single call:
//
//   Broadcast       waits
//   BroadcastAsync  calls back with the result, once; never inside a call of the application's
//   BroadcastCoro   is awaited; a request in a temporary is safe, for it is serialized at once
//   BroadcastStart  gives the replies one by one, as they come (rpc/mesh/broadcast_call.h)
//
// and BroadcastStream for methods whose server streams (rpc/mesh/broadcast_reader.h).
//
// The request is serialized once, and compressed once for each codec. From 8 KiB on all connections
// write it from the same memory. Where a peer does not read, its call fails, is left out, or waits
// (Slow); what waits holds a reference to the one request.
//
// Each call is a call like any other: with the retries, interceptors and deadline of its target,
// and with BroadcastOptions::timeout for each. A call made inside a handler inherits deadline and
// cancelling. Metadata and attachment of the ClientContext go to every peer; its trailers and reply
// attachment stay empty.
//
// Memory: one block for all calls of a broadcast and a small request, one more for a larger one. It
// stays until the last call has ended, which cancelling hastens. A result has the replies of those
// who answered before the outcome, and of nobody else.
//
// Threads  any. Broadcast waits: not under a lock that a callback takes, and refused on an I/O
//          thread, where it would wait for itself
// Errors   in the result's status: INVALID_ARGUMENT and FAILED_PRECONDITION for what cannot be
//          wanted, RESOURCE_EXHAUSTED for a request that is too large, CANCELLED, otherwise what
//          most peers have ended with (rpc/mesh/quorum_error.h)
// Ends     each form ends once
#ifndef WEFT_RPC_BROADCAST_H_
#define WEFT_RPC_BROADCAST_H_

#include <memory>
#include <type_traits>
#include <utility>

#include "weft/core/event_loop.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/trailing_storage_allocator.h"
#include "weft/rpc/call/unary_call.h"
#include "weft/rpc/mesh/agreed.h"
#include "weft/rpc/mesh/blocking_round.h"
#include "weft/rpc/mesh/broadcast_call.h"
#include "weft/rpc/mesh/broadcast_coro.h"
#include "weft/rpc/mesh/broadcast_options.h"
#include "weft/rpc/mesh/broadcast_plan.h"
#include "weft/rpc/mesh/broadcast_reader.h"
#include "weft/rpc/mesh/broadcast_result.h"
#include "weft/rpc/mesh/callback_round.h"
#include "weft/rpc/mesh/decide.h"
#include "weft/rpc/mesh/fold.h"
#include "weft/rpc/mesh/newest.h"
#include "weft/rpc/mesh/peer_set.h"
#include "weft/rpc/mesh/reducer.h"
#include "weft/rpc/mesh/want.h"

namespace weft {

namespace internal {

// A round of the form `Round`, started.
template <typename Round, typename... Args>
std::shared_ptr<Round> LaunchRound(const BroadcastTargets& targets, const MethodInfo& method,
                                   const google::protobuf::MessageLite& request,
                                   const BroadcastOptions& options, Args&&... args) {
  const BroadcastPlan plan(targets, method, request, options);
  char* room = nullptr;
  auto round = std::allocate_shared<Round>(
      TrailingStorageAllocator<Round>(BroadcastRound::RoomFor(plan), &room), options,
      std::forward<Args>(args)...);
  round->Launch(plan, room);
  return round;
}

template <typename Request, typename Reply>
BroadcastResult<Reply> WaitForBroadcast(const BroadcastTargets& targets,
                                        const UnaryMethod<Request, Reply>& method,
                                        const Request& request, const BroadcastOptions& options,
                                        Reducer<Reply>* reducer) {
  if (EventLoop::Current() != nullptr) {
    BroadcastResult<Reply> refused;
    refused.status = CheckMayBlock(method);
    return refused;
  }
  return LaunchRound<BlockingRound<Reply>>(targets, method, request, options, reducer)->Wait();
}

}  // namespace internal

// Waits for the outcome.
template <typename Request, typename Reply>
BroadcastResult<Reply> Broadcast(const BroadcastTargets& targets,
                                 const UnaryMethod<Request, Reply>& method, const Request& request,
                                 const BroadcastOptions& options = {}) {
  return internal::WaitForBroadcast<Request, Reply>(targets, method, request, options, nullptr);
}
template <typename Request, typename Reply>
BroadcastResult<Reply> Broadcast(const BroadcastTargets& targets,
                                 const UnaryMethod<Request, Reply>& method, const Request& request,
                                 const BroadcastOptions& options,
                                 Reducer<std::type_identity_t<Reply>>& reducer) {
  return internal::WaitForBroadcast<Request, Reply>(targets, method, request, options, &reducer);
}

// Calls back with the outcome, once: on an I/O thread, which must not be blocked, or on
// BroadcastOptions::executor.
template <typename Request, typename Reply>
void BroadcastAsync(const BroadcastTargets& targets, const UnaryMethod<Request, Reply>& method,
                    const Request& request, const BroadcastOptions& options,
                    BroadcastCallback<std::type_identity_t<Reply>> done) {
  (void)internal::LaunchRound<internal::CallbackRound<Reply>>(targets, method, request, options,
                                                              nullptr, std::move(done));
}
template <typename Request, typename Reply>
void BroadcastAsync(const BroadcastTargets& targets, const UnaryMethod<Request, Reply>& method,
                    const Request& request, const BroadcastOptions& options,
                    Reducer<std::type_identity_t<Reply>>& reducer,
                    BroadcastCallback<std::type_identity_t<Reply>> done) {
  (void)internal::LaunchRound<internal::CallbackRound<Reply>>(targets, method, request, options,
                                                              &reducer, std::move(done));
}

// co_await it: BroadcastResult<Reply>.
template <typename Request, typename Reply>
CoroBroadcast<Reply> BroadcastCoro(const BroadcastTargets& targets,
                                   const UnaryMethod<Request, Reply>& method,
                                   const Request& request, const BroadcastOptions& options = {}) {
  return CoroBroadcast<Reply>(internal::LaunchRound<internal::CoroRound<Reply>>(
      targets, method, request, options, nullptr));
}
template <typename Request, typename Reply>
CoroBroadcast<Reply> BroadcastCoro(const BroadcastTargets& targets,
                                   const UnaryMethod<Request, Reply>& method,
                                   const Request& request, const BroadcastOptions& options,
                                   Reducer<std::type_identity_t<Reply>>& reducer) {
  return CoroBroadcast<Reply>(internal::LaunchRound<internal::CoroRound<Reply>>(
      targets, method, request, options, &reducer));
}

// Gives the replies one by one.
template <typename Request, typename Reply>
BroadcastCall<Reply> BroadcastStart(const BroadcastTargets& targets,
                                    const UnaryMethod<Request, Reply>& method,
                                    const Request& request, const BroadcastOptions& options = {}) {
  return BroadcastCall<Reply>(internal::LaunchRound<internal::StepsRound<Reply>>(
      targets, method, request, options, nullptr));
}
template <typename Request, typename Reply>
BroadcastCall<Reply> BroadcastStart(const BroadcastTargets& targets,
                                    const UnaryMethod<Request, Reply>& method,
                                    const Request& request, const BroadcastOptions& options,
                                    Reducer<std::type_identity_t<Reply>>& reducer) {
  return BroadcastCall<Reply>(internal::LaunchRound<internal::StepsRound<Reply>>(
      targets, method, request, options, &reducer));
}

// Reads the streams of all as one.
template <typename Request, typename Reply>
BroadcastReader<Reply> BroadcastStream(const BroadcastTargets& targets,
                                       const ServerStreamingMethod<Request, Reply>& method,
                                       const Request& request,
                                       const BroadcastOptions& options = {}) {
  const internal::BroadcastPlan plan(targets, method, request, options);
  auto round = std::make_shared<internal::StreamRound<Reply>>(options);
  round->Launch(plan);
  return BroadcastReader<Reply>(std::move(round));
}

}  // namespace weft

#endif  // WEFT_RPC_BROADCAST_H_
