// The metadata that came with a call: its bytes, parsed at the first use.
//
// Threads  one at a time: the loop until the call is handed over, then its handler
// Owns     the bytes and what they say
// Errors   Parse: why they cannot be read
#ifndef WEFT_RPC_CALL_INBOUND_METADATA_H_
#define WEFT_RPC_CALL_INBOUND_METADATA_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "weft/rpc/base/metadata.h"

namespace weft::internal {

class InboundMetadata {
 public:
  // A larger buffer does not stay with a call that is used again.
  static constexpr size_t kMaxKept = 1 << 10;

  void Set(std::string_view raw) { raw_.assign(raw.data(), raw.size()); }
  // Parses the bytes at the first call, and returns that result each time.
  const absl::Status& Parse() {
    if (!parsed_) {
      parsed_ = true;
      if (!raw_.empty()) status_ = metadata_.ReadFrom(raw_);
    }
    return status_;
  }
  // Empty before Parse.
  Metadata& metadata() { return metadata_; }
  // Sets the caller's identity, if it was found out from the metadata.
  void SetCaller(std::unique_ptr<const std::string> caller) {
    (void)Parse();  // so that Reset forgets it
    caller_ = std::move(caller);
  }
  const std::string* caller() const { return caller_.get(); }
  // Resets it for the next call.
  void Reset() {
    if (raw_.empty() && !parsed_) return;
    raw_.clear();
    if (raw_.capacity() > kMaxKept) std::string().swap(raw_);
    parsed_ = false;
    status_ = absl::OkStatus();
    metadata_.Clear();
    caller_.reset();
  }

 private:
  std::string raw_;
  bool parsed_ = false;
  absl::Status status_;
  Metadata metadata_;
  std::unique_ptr<const std::string> caller_;  // null: not found out
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INBOUND_METADATA_H_
