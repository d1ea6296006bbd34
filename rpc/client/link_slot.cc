#include "weft/rpc/client/link_slot.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/base/optimization.h"

namespace weft::internal {

// The use that one thread makes of one slot. The thread writes `using_`; the setter of the slot
// hands over the old link by adding kInherited to it.
class LinkSlot::Record {
 public:
  explicit Record(const LinkSlot* slot) : slot_(slot) {}

  bool IsOf(const LinkSlot& slot) const { return slot_.load(std::memory_order_relaxed) == &slot; }
  // The slot is gone. A new slot may lie at the same address, so the record must not match it.
  void Forget() { slot_.store(nullptr, std::memory_order_relaxed); }

  // ---- by its thread
  bool in_use() const { return using_.load(std::memory_order_relaxed) != 0; }
  void Use(const NumberedLink* link) {
    // Sequentially consistent with the loads of Read and the store of Set. Either this thread sees
    // the new link behind this store, or Set sees the store, and hands the old link over.
    using_.store(reinterpret_cast<uintptr_t>(link), std::memory_order_seq_cst);
  }
  void LetGo() {
    if (using_.exchange(0, std::memory_order_acq_rel) & kInherited) inherited_.reset();
  }

  // ---- by the thread that replaces the link. A link in use becomes the using thread's to drop.
  void HandOver(const std::shared_ptr<const NumberedLink>& old) {
    auto used = reinterpret_cast<uintptr_t>(old.get());
    if (using_.load(std::memory_order_seq_cst) != used) return;
    // Written before the exchange publishes it: the thread reads inherited_ only if it finds
    // kInherited.
    inherited_ = old;
    if (!using_.compare_exchange_strong(used, used | kInherited, std::memory_order_acq_rel)) {
      inherited_.reset();  // let go meanwhile; the old link cannot be used anew
    }
  }

 private:
  static constexpr uintptr_t kInherited = 1;

  std::atomic<const LinkSlot*> slot_;
  std::atomic<uintptr_t> using_{0};  // a NumberedLink, with kInherited when `inherited_` keeps it
  std::shared_ptr<const NumberedLink> inherited_;
};

namespace {

// The record that this thread used last. It spares the look-up in own_records.
constinit thread_local LinkSlot::Record* last_record = nullptr;

// A thread's records, by slot. There is room for as many channels as most programs use in one
// thread. One more takes the place of a record that is not in use.
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
  // A record that only the slot holds is of a thread that has ended, or has given its place to
  // another slot.
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
    // Look again after the store: a thread that replaces the link either sees this use, or its new
    // link is seen here.
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
    // The store comes before the look at the records, in the one order of seq_cst operations: a
    // thread that read the old link before it is found there.
    present_.store(owned_.get(), std::memory_order_seq_cst);
    if (old == nullptr) return;
    for (const auto& record : records_) record->HandOver(old);
  }
}

}  // namespace weft::internal
