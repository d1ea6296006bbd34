#include "weft/rpc/mesh/view.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace weft {

using namespace internal;

namespace {

// FNV-1a over names and addresses, each ended by a zero byte, which neither can contain. Peers
// compare the result: with another function here, nodes of two releases would report a difference
// for ever.
uint64_t HashOf(const std::vector<Member>& members) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    hash *= 0x100000001b3u;
  };
  for (const Member& member : members) {
    add(member.name);
    add(member.address);
  }
  // 0 means "no version given".
  return hash != 0 ? hash : 1;
}

bool ByName(const Member& a, const Member& b) { return a.name < b.name; }

// Checks members that are ordered by name.
absl::Status CheckAll(const std::vector<Member>& members) {
  if (members.empty()) return absl::InvalidArgumentError("a view without members");
  if (members.size() > View::kMaxMembers) {
    return absl::InvalidArgumentError(
        absl::StrCat("a view of ", members.size(), " members (limit ", View::kMaxMembers, ")"));
  }
  // By canonical address: two spellings of one address are one member too many.
  absl::flat_hash_map<std::string, const Member*> by_address;
  const Member* before = nullptr;
  for (const Member& member : members) {
    const absl::Status status = member.Check();
    if (!status.ok()) return status;
    // In order of names, equal names are neighbours.
    if (before != nullptr && before->name == member.name) {
      return absl::InvalidArgumentError(absl::StrCat("member ", member.name, " twice, at ",
                                                     before->address, " and ", member.address));
    }
    const auto [other, is_new] = by_address.emplace(member.CanonicalAddress(), &member);
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat("members ", other->second->name, " and ",
                                                     member.name, " at one address, ",
                                                     member.address));
    }
    before = &member;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<View> View::Create(std::vector<Member> members, uint64_t version) {
  // Stable, so that an error names two members of one name in the order in which they were given.
  std::stable_sort(members.begin(), members.end(), ByName);
  const absl::Status status = CheckAll(members);
  if (!status.ok()) return status;
  // Nodes with the same members then have the same version, without anybody who counts.
  if (version == 0) version = HashOf(members);
  return View(version, std::move(members));
}

View::View(uint64_t version, std::vector<Member> members)
    : version_(version),
      members_(std::make_shared<const std::vector<Member>>(std::move(members))) {}

const Member* View::Find(std::string_view name) const {
  const auto found = std::lower_bound(
      members().begin(), members().end(), name,
      [](const Member& member, std::string_view key) { return member.name < key; });
  return found != members().end() && found->name == name ? &*found : nullptr;
}

ViewDifference ViewDifference::Between(const View& from, const View& to) {
  ViewDifference difference;
  auto old = from.members().begin();
  auto now = to.members().begin();
  const auto old_end = from.members().end();
  const auto now_end = to.members().end();
  // Both are ordered by name, so one pass meets equal names together.
  while (old != old_end || now != now_end) {
    if (now == now_end || (old != old_end && old->name < now->name)) {
      difference.left.push_back(*old++);
    } else if (old == old_end || now->name < old->name) {
      difference.joined.push_back(*now++);
    } else {
      // Two spellings of one address are no move: connections would be made anew for nothing.
      if (old->address != now->address && old->CanonicalAddress() != now->CanonicalAddress()) {
        difference.moved.push_back({*old, *now});
      }
      ++old;
      ++now;
    }
  }
  return difference;
}

}  // namespace weft
