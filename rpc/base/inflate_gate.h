// Decides which compressed messages are inflated: by their codec and ratio, as their header says
// them, and by the bytes that are being inflated at this moment. One for a server, or a channel.
//
//   header ─► Check ─► the message comes ─► TryEnter ─► inflated, parsed ─► the Entry goes
//
// Threads  any
// Owns     nothing
// Errors   UNIMPLEMENTED for a codec that is not taken, RESOURCE_EXHAUSTED for the others; each
//          names the sizes, the limit and its setting
#ifndef WEFT_RPC_BASE_INFLATE_GATE_H_
#define WEFT_RPC_BASE_INFLATE_GATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/inflate_options.h"

namespace weft {
enum class Compression : uint8_t;
}  // namespace weft

namespace weft::internal {

class WEFT_ANY_THREAD InflateGate {
 public:
  // Counts the bytes of one message that is being inflated, until this entry is destroyed.
  class Entry {
   public:
    Entry() = default;
    ~Entry() { Leave(); }
    Entry(Entry&& o) noexcept : gate_(std::exchange(o.gate_, nullptr)), bytes_(o.bytes_) {}
    Entry& operator=(Entry&& o) noexcept {
      Leave();
      gate_ = std::exchange(o.gate_, nullptr);
      bytes_ = o.bytes_;
      return *this;
    }

   private:
    friend class InflateGate;
    void Leave() {
      if (gate_ != nullptr) gate_->inflating_.fetch_sub(bytes_, std::memory_order_relaxed);
    }
    InflateGate* gate_ = nullptr;
    size_t bytes_ = 0;
  };

  // `side`: "server" or "channel", for the texts of errors.
  InflateGate(const InflateOptions& options, std::string_view side)
      : options_(options), side_(side) {}
  InflateGate(const InflateGate&) = delete;
  InflateGate& operator=(const InflateGate&) = delete;

  // Checks a message by its header alone. OK for a message that is not compressed.
  absl::Status Check(Compression codec, size_t compressed, size_t inflated) const;
  // Counts a message that passed Check, until `*entry` is destroyed.
  absl::Status TryEnter(Compression codec, size_t compressed, size_t inflated, Entry* entry);

  // Check and TryEnter in one step.
  absl::Status Admit(Compression codec, size_t compressed, size_t inflated, Entry* entry) {
    absl::Status s = Check(codec, compressed, inflated);
    return s.ok() ? TryEnter(codec, compressed, inflated, entry) : s;
  }

  size_t inflating() const { return inflating_.load(std::memory_order_relaxed); }

 private:
  const InflateOptions options_;
  const std::string_view side_;
  std::atomic<size_t> inflating_{0};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_INFLATE_GATE_H_
