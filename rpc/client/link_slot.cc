#include "weft/rpc/client/link_slot.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/base/optimization.h"

namespace weft {

// What one thread uses of one slot.
class LinkSlot::Record {
 public:
  explicit Record(const LinkSlot* slot) : slot_(slot) {}

  bool IsOf(const LinkSlot& slot) const { return slot_.load(std::memory_order_relaxed) == &slot; }
  // The slot has gone; another one may stand in its place.
  void Forget() { slot_.store(nullptr, std::memory_order_relaxed); }

  // ---- by its thread
  bool in_use() const { return using_.load(std::memory_order_relaxed) != 0; }
  void Use(const NumberedLink* link) {
    using_.store(reinterpret_cast<uintptr_t>(link), std::memory_order_seq_cst);
  }
  void LetGo() {
    if (using_.exchange(0, std::memory_order_acq_rel) & kInherited) inherited_.reset();
  }

  // ---- by who replaces the link: it is the thread's to drop where the thread uses it
  void HandOver(const std::shared_ptr<const NumberedLink>& old) {
    auto used = reinterpret_cast<uintptr_t>(old.get());
    if (using_.load(std::memory_order_seq_cst) != used) return;
    inherited_ = old;
    if (!using_.compare_exchange_strong(used, used | kInherited, std::memory_order_acq_rel)) {
      inherited_.reset();  // let go meanwhile; it cannot be used again
    }
  }

 private:
  static constexpr uintptr_t kInherited = 1;

  std::atomic<const LinkSlot*> slot_;
  std::atomic<uintptr_t> using_{0};  // a NumberedLink, with kInherited when `inherited_` keeps it
  std::shared_ptr<const NumberedLink> inherited_;
};

namespace {

// The record that this thread used last; one of its own.
constinit thread_local LinkSlot::Record* last_record = nullptr;

// A thread's records, by slot: as many as most programs have channels in one thread. One more takes
// the place of one that is not in use.
constexpr size_t kRecords = 8;
struct OwnRecords {
  ~OwnRecords() { last_record = nullptr; }
  std::array<std::shared_ptr<LinkSlot::Record>, kRecords> by_place;
};
thread_local OwnRecords own_records;

size_t PlaceOf(const LinkSlot& slot) {
  return (reinterpret_cast<uintptr_t>(&slot) >> 6) % kRecords;
}

}  // namespace

LinkSlot::~LinkSlot() {
  Set(nullptr);
  MutexLock lock(mu_);
  for (const auto& record : records_) record->Forget();
}

LinkSlot::Record* LinkSlot::FindRecord() {
  std::shared_ptr<Record>& own = own_records.by_place[PlaceOf(*this)];
  if (own != nullptr && own->IsOf(*this)) return last_record = own.get();
  if (own != nullptr && own->in_use()) return nullptr;
  own = std::make_shared<Record>(this);
  last_record = own.get();
  MutexLock lock(mu_);
  // Records that only the slot has are of threads that have ended, or have taken another's place.
  records_.erase(std::remove_if(records_.begin(), records_.end(),
                                [](const auto& record) { return record.use_count() == 1; }),
                 records_.end());
  records_.push_back(own);
  return own.get();
}

const NumberedLink* LinkSlot::Read(Record** record) {
  const NumberedLink* link = present_.load(std::memory_order_relaxed);
  if (link == nullptr) return nullptr;
  Record* own = last_record;
  if (ABSL_PREDICT_FALSE(own == nullptr || !own->IsOf(*this))) own = FindRecord();
  if (ABSL_PREDICT_FALSE(own == nullptr || own->in_use())) return nullptr;
  while (link != nullptr) {
    own->Use(link);
    // Who replaces it either sees that it is in use, or is seen here.
    const NumberedLink* const present = present_.load(std::memory_order_seq_cst);
    if (ABSL_PREDICT_TRUE(present == link)) {
      *record = own;
      return link;
    }
    own->LetGo();
    link = present;
  }
  return nullptr;
}

void LinkSlot::LetGo(Record& record) { record.LetGo(); }

void LinkSlot::Set(std::shared_ptr<const NumberedLink> link) {
  std::shared_ptr<const NumberedLink> old;
  {
    MutexLock lock(mu_);
    old = std::exchange(owned_, std::move(link));
    present_.store(owned_.get(), std::memory_order_seq_cst);
    if (old == nullptr) return;
    for (const auto& record : records_) record->HandOver(old);
  }
}

}  // namespace weft
