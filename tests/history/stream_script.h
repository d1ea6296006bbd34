// The script of a stream's handler, which its caller sends in the call's metadata. Both sides can
// tell the messages from the script alone, so each sees if it got the right one.
//
// Threads  value
#ifndef WEFT_TESTS_HISTORY_STREAM_SCRIPT_H_
#define WEFT_TESTS_HISTORY_STREAM_SCRIPT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/protos/rows.pb.h"

namespace weft::test {

struct StreamScript {
  static constexpr std::string_view kMetadataKey = "history";
  static constexpr int64_t kNever = -1;
  // The order in which a handler reads and writes, where both sides stream.
  enum class Order : uint8_t { kInTurn, kRepliesFirst, kRepliesLast, kAtOnce };

  int64_t key = 0;
  Order order = Order::kInTurn;
  int64_t requests = 0;        // that the client sends
  int64_t replies = 0;         // that the handler writes; in turn, one for each request
  int64_t bytes = 0;           // of each message
  int64_t end_after = kNever;  // the handler ends behind so many messages instead of all
  bool fails = false;          // and with an error
  bool slow = false;
  int64_t call_back = 0;  // the key of a call that the handler makes to its caller; 0: none

  std::string ToText() const {
    return absl::StrCat(key, ",", static_cast<int>(order), ",", requests, ",", replies, ",", bytes,
                        ",", end_after, ",", fails ? 1 : 0, ",", slow ? 1 : 0, ",", call_back);
  }
  static std::optional<StreamScript> FromText(std::string_view text) {
    std::vector<int64_t> n;
    for (const absl::string_view part :
         absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
      if (!absl::SimpleAtoi(part, &n.emplace_back())) return std::nullopt;
    }
    if (n.size() != 9) return std::nullopt;
    return StreamScript{
        n[0], static_cast<Order>(n[1]), n[2], n[3], n[4], n[5], n[6] != 0, n[7] != 0, n[8]};
  }

  // The messages that the handler reads and writes when it is not stopped.
  int64_t ToBeRead() const {
    return end_after == kNever ? requests : std::min(end_after, requests);
  }
  int64_t ToBeListed() const {
    return end_after == kNever ? replies : std::min(end_after, replies);
  }
  int64_t ToBeTalked() const { return order == Order::kInTurn ? ToBeRead() : replies; }

  Row Request(int64_t index) const { return MessageAt(index, /*reply=*/false); }
  Row Reply(int64_t index) const { return MessageAt(index, /*reply=*/true); }
  bool IsRequest(const Row& row, int64_t index) const { return IsMessageAt(row, index, false); }
  bool IsReply(const Row& row, int64_t index) const { return IsMessageAt(row, index, true); }

 private:
  int64_t NumberOf(int64_t index, bool reply) const {
    // Different for each message of each call, and in each direction.
    return key << 20 | index << 1 | (reply ? 1 : 0);
  }
  char LetterOf(int64_t index) const { return static_cast<char>('a' + (key + index) % 26); }
  Row MessageAt(int64_t index, bool reply) const {
    Row row;
    row.set_number(NumberOf(index, reply));
    row.set_data(std::string(static_cast<size_t>(bytes), LetterOf(index)));
    return row;
  }
  bool IsMessageAt(const Row& row, int64_t index, bool reply) const {
    return row.number() == NumberOf(index, reply) &&
           row.data().size() == static_cast<size_t>(bytes) &&
           row.data().find_first_not_of(LetterOf(index)) == std::string::npos;
  }
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_STREAM_SCRIPT_H_
