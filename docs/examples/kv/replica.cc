#include "replica.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "version.h"

namespace weft::examples::kv {
namespace {

// Entries in one piece of a stream.
constexpr size_t kPiece = 256;

}  // namespace

NodeReplica::NodeReplica(Life self, int members, bool nothing_to_lose)
    : self_(std::move(self)), memory_(members, nothing_to_lose) {
  lives_.Learn(self_);
}

absl::Status NodeReplica::Put(ServerContext&, PutRequest& request, PutReply&) {
  const std::lock_guard lock(mu_);
  if (!request.behind()) {
    // The sender may count on an answer of a life that has lost it; see lives.h.
    if (const std::string later = lives_.LaterThan(request.lives()); !later.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(self_.node(), " knows a later life of ", later));
    }
    lives_.Learn(request.lives());
  }
  for (const Entry& entry : request.entries()) {
    if (request.only_if_newest()) {
      const Entry* const there = store_.Find(entry.key());
      if (there != nullptr && Compare(there->version(), entry.version()) > 0) {
        return absl::AbortedError(absl::StrCat(self_.node(), " has version ",
                                               there->version().number(), " of ", entry.key()));
      }
    }
    store_.Merge(entry);
  }
  // Taken in any case; but an answer that this node might not remember must not be counted.
  return memory_.whole() ? absl::OkStatus() : absl::UnavailableError(WhyNotWhole());
}

absl::Status NodeReplica::Get(ServerContext&, GetRequest& request, GetReply& reply) {
  const std::lock_guard lock(mu_);
  if (!memory_.whole()) return absl::UnavailableError(WhyNotWhole());
  if (const Entry* const entry = store_.Find(request.key())) *reply.mutable_entry() = *entry;
  return absl::OkStatus();
}

absl::Status NodeReplica::Pull(ServerContext&, PullRequest& request,
                               ServerWriter<PullReply>& stream) {
  uint64_t upto = request.of_life() == self_.life() ? request.after() : 0;
  for (bool first = true;; first = false) {
    PullReply piece;
    {
      const std::lock_guard lock(mu_);
      // Learn the caller's life before its stream ends: from now on writes that count on its
      // earlier life are refused. Writes taken before are in the stream.
      lives_.Learn(request.from());
      for (const Entry* entry : store_.TakenAfter(&upto, kPiece)) *piece.add_entries() = *entry;
      if (first) {
        piece.set_whole(memory_.whole());
        lives_.AddTo(piece.mutable_lives());
      }
    }
    // Stream entries that arrived meanwhile, too: they may have replaced entries not streamed yet.
    if (!first && piece.entries().empty()) return absl::OkStatus();
    *piece.mutable_of() = self_;
    piece.set_upto(upto);
    if (!stream.Write(piece)) return absl::CancelledError("nobody reads any more");
  }
}

absl::Status NodeReplica::CheckWhole() const {
  const std::lock_guard lock(mu_);
  return memory_.whole() ? absl::OkStatus() : absl::FailedPreconditionError(WhyNotWhole());
}

Version NodeReplica::NextVersion(const std::string& key, const Version& newest) {
  const std::lock_guard lock(mu_);
  // A number is given once, also where its write fails: no two writes of this life have one
  // version.
  uint64_t& given = given_[key];
  // `given_` also covers versions of writes that failed: a number must never be given twice.
  given = std::max(given, newest.number());
  if (const Entry* const entry = store_.Find(key)) {
    given = std::max(given, entry->version().number());
  }
  ++given;
  Version version;
  version.set_number(given);
  version.set_writer(self_.node());
  version.set_life(self_.life());
  return version;
}

void NodeReplica::AddLivesTo(Lives::List* lives) const {
  const std::lock_guard lock(mu_);
  lives_.AddTo(lives);
}

void NodeReplica::Take(const Entry& entry) {
  const std::lock_guard lock(mu_);
  store_.Merge(entry);
}

void NodeReplica::Take(const PullReply& piece) {
  const std::lock_guard lock(mu_);
  lives_.Learn(piece.of());
  lives_.Learn(piece.lives());
  for (const Entry& entry : piece.entries()) repaired_ += store_.Merge(entry) ? 1 : 0;
}

void NodeReplica::Merged(const std::string& other) {
  const std::lock_guard lock(mu_);
  memory_.Merged(other);
}

NodeReplica::Numbers NodeReplica::numbers() const {
  const std::lock_guard lock(mu_);
  return {memory_.state(), static_cast<int64_t>(store_.size()), repaired_};
}

std::string NodeReplica::WhyNotWhole() const {
  return absl::StrCat(self_.node(), " has lost its memory, and has merged that of ",
                      memory_.merged(), " others; it needs ", memory_.needed());
}

}  // namespace weft::examples::kv
