#include "weft/rpc/mesh/register_check.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "weft/core/random_bits.h"

namespace weft::internal {
namespace {

// A register's value by number; 0: none.
using Value = uint32_t;

// Hash of a set of operations: the XOR of a random number for each, so adding and removing cost the
// same.
struct SetHash {
  uint64_t high = 0, low = 0;

  void Flip(const SetHash& one) {
    high ^= one.high;
    low ^= one.low;
  }
  friend bool operator==(const SetHash&, const SetHash&) = default;
};

// The operations taken so far, and the value they left.
struct Seen {
  SetHash taken;
  Value value;

  friend bool operator==(const Seen&, const Seen&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Seen& seen) {
    return H::combine(std::move(h), seen.taken.high, seen.taken.low, seen.value);
  }
};

class OrderSearch {
 public:
  OrderSearch(const std::vector<RegisterCheck::Operation>& operations, size_t max_sets)
      : max_sets_(max_sets) {
    std::set<std::optional<std::string>> read;
    for (const auto& operation : operations) {
      if (!operation.is_write) read.insert(operation.value);
    }
    opens_.resize(1);
    for (size_t i = 0; i < operations.size(); ++i) {
      const auto& operation = operations[i];
      const SetHash hash = {NextRandomBits(&random_), NextRandomBits(&random_)};
      const Value value = NumberOf(operation.value);
      if (operation.ended != RegisterCheck::kNoEnd) {
        calls_.push_back(
            Call{i, operation.is_write, false, value, operation.began, operation.ended, hash});
      } else if (operation.is_write && read.contains(operation.value)) {
        // A read without an end proves nothing. A write without an end whose value nobody read may
        // be treated as never done.
        opens_[value].writes.push_back({operation.began, hash});
      }
    }
    const auto sooner = [](const auto& a, const auto& b) { return a.began < b.began; };
    std::sort(calls_.begin(), calls_.end(), sooner);
    for (Opens& opens : opens_) std::sort(opens.writes.begin(), opens.writes.end(), sooner);
  }

  RegisterCheck::Finding Run() {
    while (steps_.size() < calls_.size()) {
      if (TakeNext()) continue;
      if (seen_.size() >= max_sets_) return {.gave_up = true};
      // No call fits here: take the last step back, and try the calls behind it.
      NoteMisfit();
      if (steps_.empty()) return {.misfit = misfit_};
      from_ = Undo() + 1;
    }
    return {};
  }

 private:
  struct Call {
    size_t index;
    bool is_write;
    bool taken;
    Value value;
    uint64_t began;
    uint64_t ended;
    SetHash hash;
  };
  struct OpenWrite {
    uint64_t began;
    SetHash hash;
  };
  // Writes of one value without a known end. They are alike, so the one that began first is always
  // taken first.
  struct Opens {
    std::vector<OpenWrite> writes;
    size_t taken = 0;
  };
  struct Step {
    size_t call;
    bool opened;  // an open write was taken just before this read
    Value before;
  };

  Value NumberOf(const std::optional<std::string>& value) {
    if (!value.has_value()) return 0;
    const auto [it, added] = numbers_.try_emplace(*value, static_cast<Value>(opens_.size()));
    if (added) opens_.emplace_back();
    return it->second;
  }
  void Flip(size_t call) {
    calls_[call].taken = !calls_[call].taken;
    state_.taken.Flip(calls_[call].hash);
  }
  // The earliest end among calls not taken yet. A call that begins after it cannot come next.
  uint64_t EarliestEnd() {
    while (first_left_ < calls_.size() && calls_[first_left_].taken) ++first_left_;
    uint64_t earliest = RegisterCheck::kNoEnd;
    for (size_t i = first_left_; i < calls_.size() && calls_[i].began < earliest; ++i) {
      if (!calls_[i].taken) earliest = std::min(earliest, calls_[i].ended);
    }
    return earliest;
  }
  // Takes a call, from `from_` on, that may come next and leads to a state not seen before.
  bool TakeNext() {
    const uint64_t earliest = EarliestEnd();
    for (size_t i = std::max(from_, first_left_); i < calls_.size(); ++i) {
      const Call& call = calls_[i];
      // Calls are ordered by beginning, so all behind it began too late as well.
      if (call.began > earliest || seen_.size() >= max_sets_) break;
      if (call.taken) continue;
      // An open write helps only just before a read of its value; anywhere else it changes nothing.
      const bool opens = !call.is_write && call.value != state_.value;
      if (opens && !MayOpen(call.value, earliest)) continue;
      steps_.push_back({i, opens, state_.value});
      Flip(i);
      if (opens) state_.taken.Flip(opens_[call.value].writes[opens_[call.value].taken++].hash);
      state_.value = call.value;
      // A state seen before has been searched from already, in another order: it cannot lead
      // further.
      if (seen_.insert(state_).second) {
        from_ = 0;
        return true;
      }
      Undo();
    }
    return false;
  }
  // True if an untaken write of `value` without an end began by `began_by`.
  bool MayOpen(Value value, uint64_t began_by) const {
    const Opens& opens = opens_[value];
    return opens.taken < opens.writes.size() && opens.writes[opens.taken].began <= began_by;
  }
  size_t Undo() {
    const Step step = steps_.back();
    steps_.pop_back();
    Flip(step.call);
    if (step.opened) {
      Opens& opens = opens_[calls_[step.call].value];
      state_.taken.Flip(opens.writes[--opens.taken].hash);
    }
    state_.value = step.before;
    first_left_ = std::min(first_left_, step.call);
    return step.call;
  }
  // Remembers the call that blocked the search at its deepest point.
  void NoteMisfit() {
    // The deepest point explains most of the history, so its misfit is the likeliest culprit.
    if (misfit_.has_value() && steps_.size() <= most_taken_) return;
    most_taken_ = steps_.size();
    uint64_t earliest = RegisterCheck::kNoEnd;
    for (size_t i = first_left_; i < calls_.size() && calls_[i].began < earliest; ++i) {
      if (calls_[i].taken || calls_[i].ended >= earliest) continue;
      earliest = calls_[i].ended;
      misfit_ = calls_[i].index;
    }
  }

  const size_t max_sets_;
  uint64_t random_ = 1;
  std::vector<Call> calls_;   // calls that have ended, ordered by beginning
  std::vector<Opens> opens_;  // by value
  std::map<std::string, Value> numbers_;

  Seen state_{{}, 0};
  size_t first_left_ = 0;
  size_t from_ = 0;
  std::vector<Step> steps_;
  absl::flat_hash_set<Seen> seen_;
  std::optional<size_t> misfit_;
  size_t most_taken_ = 0;
};

}  // namespace

RegisterCheck::Finding RegisterCheck::Search(const std::vector<Operation>& operations,
                                             size_t max_sets) {
  return OrderSearch(operations, max_sets).Run();
}

}  // namespace weft::internal
