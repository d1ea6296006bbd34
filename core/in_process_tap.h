// Decides how connections in memory behave, and hears what happens on them.
//
// Threads  any, several at once; OnBytes and OnClose under the mutex of their connection, so they
//          call nothing of the network's
// Owns     nothing
#ifndef WEFT_CORE_IN_PROCESS_TAP_H_
#define WEFT_CORE_IN_PROCESS_TAP_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "weft/core/fault_script.h"
#include "weft/core/in_process_route.h"

namespace weft {

class InProcessTap {
 public:
  virtual ~InProcessTap() = default;

  enum class Dialled : uint8_t {
    kConnects,  // or is refused, where nobody listens
    kSilence,   // no answer comes
  };
  // Before a connection is made; nobody listens there when `route.to` is empty. `faults`: its own
  // from the beginning.
  virtual Dialled OnDial(const InProcessRoute& route, ConnectionFaults* faults) = 0;
  // One end has written `size` bytes, the first of these; `vanish`: they will not arrive.
  virtual void OnBytes(const InProcessRoute& route, bool by_dialer, const iovec* pieces,
                       size_t size, bool vanish) = 0;
  // One end has closed.
  virtual void OnClose(const InProcessRoute& route, bool by_dialer) = 0;
};

}  // namespace weft

#endif  // WEFT_CORE_IN_PROCESS_TAP_H_
