// Gives back memory of a native session that has gone quiet: tables of calls and replies, and
// output.
//
// Threads  the session's loop
// Owns     nothing; the trimmer asks it (core/idle_trimmer.h) until it is destroyed
#ifndef WEFT_RPC_PROTOCOL_NATIVE_QUIET_TRIM_H_
#define WEFT_RPC_PROTOCOL_NATIVE_QUIET_TRIM_H_

#include <cstdint>

#include "weft/core/clock.h"
#include "weft/core/connection.h"
#include "weft/core/idle_trimmer.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class InboundTable;
class ReplyReader;

class QuietTrim final : public Trimmable {
 public:
  explicit QuietTrim(SessionShared& shared) : shared_(shared) {}

  void Trim() WEFT_LOOP_ONLY;

 private:
  // Trimmable: when nothing but heartbeats came since the last look.
  bool GiveBack(MonoTime now) WEFT_LOOP_ONLY override;

  SessionShared& shared_;

  uint64_t read_before_ WEFT_LOOP_OWNED = 0;  // bytes read when last asked
  bool trimmed_ WEFT_LOOP_OWNED = false;      // trimmed already, and no traffic since
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_QUIET_TRIM_H_
