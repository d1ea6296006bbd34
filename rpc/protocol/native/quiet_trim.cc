#include "weft/rpc/protocol/native/quiet_trim.h"

#include <utility>

#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/reply_reader.h"

namespace weft::internal::native {

void QuietTrim::Trim() {
  shared_.link->Trim();
  shared_.parts.inbound.Trim();
  shared_.parts.replies.Trim();
}

bool QuietTrim::GiveBack(MonoTime) {
  const uint64_t read = shared_.parts.connection.bytes_read();
  // A heartbeat alone, a PING or an answer to one, does not make a connection busy.
  const bool quiet = read - std::exchange(read_before_, read) <= 2 * kHeaderSize;
  // Once in a quiet time: what was given back does not grow without traffic.
  if (quiet && !trimmed_) Trim();
  trimmed_ = quiet;
  return false;
}

}  // namespace weft::internal::native
