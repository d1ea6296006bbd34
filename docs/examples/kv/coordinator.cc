#include "coordinator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::examples::kv {
namespace {

absl::Duration TimeoutOf(const ServerContext& call) {
  return std::min(call.time_left(), absl::Seconds(1));
}

}  // namespace

absl::Status Coordinator::Write(ServerContext& call, WriteRequest& request, WriteReply& reply) {
  if (absl::Status s = replica_.CheckWhole(); !s.ok()) return Refused(std::move(s));
  Entry entry;
  entry.set_key(request.key());
  entry.set_value(request.value());
  absl::Status status;
  const std::string leader = up_.Leader();
  if (behind_ != nullptr) {
    // The planted fault of --no-quorum: acknowledged before any other node has it.
    status = WriteHere(entry);
  } else if (leader == node_.name()) {
    status = WriteInOneRound(entry, TimeoutOf(call));
  } else if (request.forwarded() || leader.empty()) {
    status = WriteInTwoRounds(entry, TimeoutOf(call));
  } else {
    // A write is forwarded once at most: two nodes that take each other for the leader would send
    // it to and fro.
    request.set_forwarded(true);
    ClientContext context;
    absl::StatusOr<WriteReply> led =
        Store::Stub(node_.To(leader)).Write(request, {.context = &context});
    if (led.ok()) {
      reply = *std::move(led);
      return absl::OkStatus();
    }
    // Do not write again: the write may take effect twice.
    if (context.may_have_been_executed() && !absl::IsFailedPrecondition(led.status())) {
      return led.status();
    }
    status = WriteInTwoRounds(entry, TimeoutOf(call));
  }
  if (status.ok()) *reply.mutable_version() = entry.version();
  return status;
}

absl::Status Coordinator::WriteInOneRound(Entry& entry, absl::Duration timeout) {
  *entry.mutable_version() = replica_.NextVersion(entry.key(), Version());
  absl::Status status = quorum_.Put(entry, /*only_if_newest=*/true, timeout);
  if (status.ok()) in_one_.fetch_add(1);
  if (absl::IsAborted(status)) {
    // Learn the newer version, so that the next write of this key gets a new number.
    const absl::StatusOr<Quorum::Found> found = quorum_.Get(entry.key(), timeout);
    if (found.ok() && found->newest.version().number() > 0) replica_.Take(found->newest);
  }
  return status;
}

absl::Status Coordinator::WriteInTwoRounds(Entry& entry, absl::Duration timeout) {
  const absl::StatusOr<Quorum::Found> found = quorum_.Get(entry.key(), timeout);
  if (!found.ok()) return found.status();
  *entry.mutable_version() = replica_.NextVersion(entry.key(), found->newest.version());
  absl::Status status = quorum_.Put(entry, /*only_if_newest=*/false, timeout);
  if (status.ok()) in_two_.fetch_add(1);
  return status;
}

absl::Status Coordinator::WriteHere(Entry& entry) {
  *entry.mutable_version() = replica_.NextVersion(entry.key(), Version());
  replica_.Take(entry);
  behind_->Add(entry);
  return absl::OkStatus();
}

absl::Status Coordinator::Read(ServerContext& call, ReadRequest& request, ReadReply& reply) {
  if (absl::Status s = replica_.CheckWhole(); !s.ok()) return Refused(std::move(s));
  absl::StatusOr<Quorum::Found> found = quorum_.Get(request.key(), TimeoutOf(call));
  if (!found.ok()) return found.status();
  reads_.fetch_add(1);
  if (found->newest.version().number() == 0) {
    return absl::NotFoundError(absl::StrCat(request.key(), " was never written"));
  }
  if (!found->agreed) {
    // Without this a later read could find an older entry, at another majority.
    written_back_.fetch_add(1);
    absl::Status s = quorum_.Put(found->newest, /*only_if_newest=*/false, TimeoutOf(call));
    if (!s.ok()) return s;
  }
  *reply.mutable_entry() = std::move(found->newest);
  return absl::OkStatus();
}

absl::Status Coordinator::Status(ServerContext&, StatusRequest&, StatusReply& reply) {
  const NodeReplica::Numbers numbers = replica_.numbers();
  reply.set_memory(std::string(Memory::Name(numbers.memory)));
  reply.set_leader(up_.Leader());
  for (const std::string& name : up_.names()) reply.add_up(name);
  reply.set_keys(numbers.keys);
  reply.set_writes_in_one_round(in_one_.load());
  reply.set_writes_in_two_rounds(in_two_.load());
  reply.set_reads(reads_.load());
  reply.set_reads_written_back(written_back_.load());
  reply.set_refused(refused_.load());
  reply.set_repaired(numbers.repaired);
  return absl::OkStatus();
}

absl::Status Coordinator::Refused(absl::Status why) {
  refused_.fetch_add(1);
  return why;
}

}  // namespace weft::examples::kv
