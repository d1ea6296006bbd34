#include "load.h"

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace weft::examples::kv {
namespace {

// Interval of each writer's and reader's calls.
constexpr absl::Duration kEvery = absl::Milliseconds(10);
constexpr absl::Duration kTimeout = absl::Milliseconds(500);
constexpr absl::Duration kAfterFailure = absl::Milliseconds(20);

std::string KeyOf(size_t writer, uint64_t number) {
  return absl::StrCat("key ", writer, "/", number);
}

}  // namespace

void Load::Start() {
  for (size_t i = 0; i < kWriters; ++i) threads_.emplace_back([this, i] { Writer(i); });
  for (size_t i = 0; i < kReaders; ++i) threads_.emplace_back([this, i] { Reader(i); });
}

void Load::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

// Three writes of four make a new key; the fourth replaces the writer's first key.
void Load::Writer(size_t me) {
  size_t node = me;
  for (uint64_t n = 0; !stopping_; ++n) {
    // Both kinds are needed: new keys find lost entries, a replaced key finds old ones that came
    // back.
    const bool again = n % 4 == 3;
    WriteRequest request;
    request.set_key(KeyOf(me, again ? 0 : keys_[me].load()));
    absl::Time begin;
    for (bool written = false; !written && !stopping_;) {
      // A new number at each attempt: see Ledger::Begin.
      const int64_t number = ledger_.Begin(request.key());
      request.set_value(Ledger::ValueOf(number));
      begin = absl::Now();
      Store::Stub store = stores_[node % stores_.size()];
      const absl::Status status = store.Write(request, {.timeout = kTimeout}).status();
      writes_.Add(status.code(), absl::ToChronoNanoseconds(absl::Now() - begin));
      written = status.ok();
      if (written) {
        ledger_.Acknowledge(request.key(), number);
      } else {
        ++node;
        absl::SleepFor(kAfterFailure);
      }
    }
    // After the write: readers draw from keys that exist.
    if (!again) keys_[me].fetch_add(1);
    absl::SleepFor(begin + kEvery - absl::Now());
  }
}

void Load::Reader(size_t me) {
  // A fixed seed for each reader: runs are alike.
  std::minstd_rand random(static_cast<unsigned>(me + 1));
  for (size_t node = me; !stopping_; ++node) {
    const size_t writer = random() % kWriters;
    const uint64_t keys = keys_[writer].load();
    ReadRequest request;
    request.set_key(KeyOf(writer, keys > 0 && random() % 2 == 0 ? random() % keys : 0));
    // Before the read begins: only earlier acknowledgements bind it.
    const int64_t newest = ledger_.Newest(request.key());
    const absl::Time begin = absl::Now();
    Store::Stub store = stores_[node % stores_.size()];
    const absl::StatusOr<ReadReply> reply = store.Read(request, {.timeout = kTimeout});
    const bool nothing = absl::IsNotFound(reply.status());
    reads_.Add(nothing ? absl::StatusCode::kOk : reply.status().code(),
               absl::ToChronoNanoseconds(absl::Now() - begin));
    if (reply.ok() || nothing) {
      const int64_t read = nothing ? Ledger::kNothing : Ledger::NumberIn(reply->entry().value());
      if (read < newest) stale_.fetch_add(1);
      absl::SleepFor(begin + kEvery - absl::Now());
    } else {
      absl::SleepFor(kAfterFailure);
    }
  }
}

}  // namespace weft::examples::kv
