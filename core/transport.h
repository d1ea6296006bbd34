// How a connection's bytes travel: plain here, TLS later in the same place.
//
// Threads  Read: the loop. Write: one thread at a time, which OutputQueue sees to. ShutDown: any
// Owns     its descriptor
// Errors   Read and Write return what the system call would: a count, 0 for end of file, -1 with
// errno
#ifndef WEFT_CORE_TRANSPORT_H_
#define WEFT_CORE_TRANSPORT_H_

#include <sys/types.h>
#include <sys/uio.h>

namespace weft {

class Transport {
 public:
  virtual ~Transport() = default;
  virtual ssize_t Read(const iovec* pieces, int count) = 0;
  virtual ssize_t Write(const iovec* pieces, int count) = 0;
  // Ends both directions without giving the descriptor back, so a Write under way elsewhere fails
  // cleanly.
  virtual void ShutDown() = 0;
  virtual int fd() const = 0;
  // False: only the loop may write (TLS, whose reads and writes share state).
  virtual bool AnyThreadMayWrite() const = 0;
};

}  // namespace weft

#endif  // WEFT_CORE_TRANSPORT_H_
