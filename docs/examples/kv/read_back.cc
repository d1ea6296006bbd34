#include "read_back.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "absl/time/clock.h"

namespace weft::examples::kv {
namespace {

constexpr size_t kThreads = 8;
// A node that was just started again may not answer yet.
constexpr int kAttempts = 20;

// Reads the number; kNothing: the key was not found.
absl::StatusOr<int64_t> Read(Store::Stub store, const std::string& key) {
  ReadRequest request;
  request.set_key(key);
  absl::Status status;
  for (int i = 0; i < kAttempts; ++i) {
    const absl::StatusOr<ReadReply> reply = store.Read(request, {.timeout = absl::Seconds(2)});
    if (reply.ok()) return Ledger::NumberIn(reply->entry().value());
    // An answer, not a failure: the node has no such key, and all its writes are lost there.
    if (absl::IsNotFound(reply.status())) return Ledger::kNothing;
    status = reply.status();
    absl::SleepFor(absl::Milliseconds(50));
  }
  return status;
}

}  // namespace

ReadBack ReadBack::Of(const Ledger& ledger, const std::vector<Store::Stub>& stores) {
  const std::vector<std::string> keys = ledger.keys();
  ReadBack all;
  all.nodes.resize(stores.size());
  std::mutex mu;
  std::atomic<size_t> next{0};
  const auto work = [&] {
    // The threads share one counter: a key whose node answers slowly then delays only its own
    // thread.
    for (size_t i = next.fetch_add(1); i < keys.size(); i = next.fetch_add(1)) {
      int64_t lost_here = 0, unread_here = 0;
      for (size_t node = 0; node < stores.size(); ++node) {
        const absl::StatusOr<int64_t> number = Read(stores[node], keys[i]);
        // Without an answer all acknowledged writes of the key count as unread.
        const int64_t missing = ledger.LostIn(keys[i], number.value_or(Ledger::kNothing));
        const std::lock_guard lock(mu);
        if (number.ok()) {
          all.nodes[node].lost += missing;
          // The largest, not the sum: a write that two nodes lack is one lost write.
          lost_here = std::max(lost_here, missing);
        } else {
          all.nodes[node].unread += missing;
          unread_here = std::max(unread_here, missing);
          if (all.first_error.empty()) all.first_error = number.status().ToString();
        }
      }
      const std::lock_guard lock(mu);
      all.lost += lost_here;
      all.unread += unread_here;
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return all;
}

}  // namespace weft::examples::kv
