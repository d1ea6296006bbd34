#include "quorum.h"

#include "absl/time/clock.h"
#include "version.h"
#include "weft/rpc/broadcast.h"

namespace weft::examples::kv {
namespace {

// Pause before a write is tried again because a node knows a later life.
constexpr absl::Duration kPause = absl::Milliseconds(5);

}  // namespace

absl::Status Quorum::Put(const Entry& entry, bool only_if_newest, absl::Duration timeout) {
  const absl::Time until = absl::Now() + timeout;
  PutRequest request;
  *request.add_entries() = entry;
  request.set_only_if_newest(only_if_newest);
  for (;;) {
    request.clear_lives();
    replica_.AddLivesTo(request.mutable_lives());
    // let_rest_run and detached: nodes beyond the majority should get the entry, too.
    const BroadcastResult<PutReply> result = Broadcast(node_, Replica::kPut, request,
                                                       {.want = Want::Majority(),
                                                        .timeout = until - absl::Now(),
                                                        .self = Self::kCall,
                                                        .let_rest_run = true,
                                                        .detached = true});
    if (result.status.ok()) return absl::OkStatus();
    bool unknown_life = false;
    for (const PeerReply<PutReply>& peer : result.peers) {
      if (peer.end != PeerEnd::kFailed) continue;
      if (absl::IsAborted(peer.reply.status())) return peer.reply.status();
      unknown_life = unknown_life || absl::IsFailedPrecondition(peer.reply.status());
    }
    // The pullers' streams bring the lives that others know, so try again. The same version again
    // is the same write.
    if (!unknown_life || absl::Now() + kPause > until) {
      return absl::UnavailableError(result.status.message());
    }
    absl::SleepFor(kPause);
  }
}

absl::StatusOr<Quorum::Found> Quorum::Get(const std::string& key, absl::Duration timeout) {
  GetRequest request;
  request.set_key(key);
  const BroadcastResult<GetReply> result =
      Broadcast(node_, Replica::kGet, request,
                {.want = Want::Majority(), .timeout = timeout, .self = Self::kCall});
  if (!result.status.ok()) return absl::UnavailableError(result.status.message());
  Found found;
  found.agreed = true;
  bool first = true;
  for (const PeerReply<GetReply>& peer : result.peers) {
    if (peer.end != PeerEnd::kOk) continue;
    const auto order = Compare(peer.reply->entry().version(), found.newest.version());
    if (!first && order != 0) found.agreed = false;
    if (first || order > 0) found.newest = peer.reply->entry();
    first = false;
  }
  return found;
}

}  // namespace weft::examples::kv
