// A protocol as a row of a table: how it is recognized, and how its sessions are made. Servers and
// channels know protocols by their rows alone; rpc/default_protocols.cc is where weft's own stand.
//
// Threads  value; `accept` and `dial`: the connection's loop
#ifndef WEFT_RPC_PROTOCOL_PROTOCOL_H_
#define WEFT_RPC_PROTOCOL_PROTOCOL_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "weft/core/match.h"

namespace weft {

class Session;
struct SessionContext;
struct SessionSeed;

struct Protocol {
  // `match` sees no more than so many bytes. The longest beginning among the usual protocols is
  // HTTP/2's, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24 bytes.
  static constexpr size_t kMaxSniffed = 24;

  // In errors and logs: "native", "h2".
  std::string_view name = {};
  // What a transport that negotiates (TLS) calls it; empty: not offered there. A connection whose
  // transport has agreed on it is not asked for its first bytes.
  std::string_view alpn = {};
  // Rows are asked in the table's order; a row that needs more keeps those behind it waiting.
  Matcher match = nullptr;
  // The session of an accepted connection; null: the protocol only dials.
  std::unique_ptr<Session> (*accept)(SessionSeed seed, const SessionContext& context) = nullptr;
  // The session of a dialled connection; null: the protocol only accepts.
  std::unique_ptr<Session> (*dial)(SessionSeed seed, const SessionContext& context) = nullptr;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_PROTOCOL_H_
