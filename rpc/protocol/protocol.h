// A protocol as a row of a table: how to recognise it and how to make its sessions. Servers and
// channels know protocols only by their rows; rpc/default_protocols.cc has weft's own.
//
// Threads  value; `accept` and `dial`: the connection's loop
#ifndef WEFT_RPC_PROTOCOL_PROTOCOL_H_
#define WEFT_RPC_PROTOCOL_PROTOCOL_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "weft/core/match.h"

namespace weft {

namespace internal {
class Session;
struct SessionContext;
struct SessionSeed;
}  // namespace internal

struct Protocol {
  // The most bytes that `match` is given. The longest beginning is HTTP/2's, "PRI *
  // HTTP/2.0\r\n\r\nSM\r\n\r\n", 24 bytes.
  static constexpr size_t kMaxSniffed = 24;

  // In errors and logs: "native", "h2".
  std::string_view name = {};
  // The name in a transport's negotiation (TLS ALPN); empty: not offered. Once negotiated, the
  // first bytes are not examined.
  std::string_view alpn = {};
  // Rows are asked in order. A row that needs more bytes holds up the rows behind it.
  internal::Matcher match = nullptr;
  // The session of an accepted connection; null: the protocol only dials.
  std::unique_ptr<internal::Session> (*accept)(internal::SessionSeed seed,
                                               const internal::SessionContext& context) = nullptr;
  // The session of a dialled connection; null: the protocol only accepts.
  std::unique_ptr<internal::Session> (*dial)(internal::SessionSeed seed,
                                             const internal::SessionContext& context) = nullptr;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_PROTOCOL_H_
