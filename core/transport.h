// How a connection's bytes travel, and how one learns that they can: over a socket
// (PlainTransport), in memory (InProcessTransport), or over another transport that it wraps
// (TransportFactory).
//
//   Handshake() ──► kWantRead, kWantWrite: again when ready ──► kDone ──► Read, Write, identity
//        └──► kFailed: only to be destroyed           (a TransportHandshake drives these steps)
//
// A transport that wraps another passes ShutDown, EndWrites, SetLostAfter, SetMaxUnsent and
// Unacknowledged on to it. Bytes that it has read from below and not served yet are readable: its
// watch says so.
//
// Threads  Handshake, NewWatch, Read, EndWrites, Unacknowledged: the loop. Write: one thread at a
//          time, which OutputQueue sees to. ShutDown: any. identity: any, from kDone on
// Owns     its descriptor, or its end of what stands for one
// Errors   Read and Write return what the system call would: a count, 0 for end of file, -1 with
//          errno
#ifndef WEFT_CORE_TRANSPORT_H_
#define WEFT_CORE_TRANSPORT_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport_identity.h"
#include "weft/core/watch.h"

namespace weft::internal {

class EventLoop;

// How far a handshake is.
enum class Progress : uint8_t {
  kDone,       // bytes may be read and written
  kWantRead,   // goes on when the transport is readable; all bytes that were there are used
  kWantWrite,  // goes on when the transport is writable
  kFailed,
};

class Transport {
 public:
  virtual ~Transport() = default;
  // The next step of the handshake, before anything is read or written. kFailed: `why` says it.
  // Plain bytes have none.
  virtual Progress Handshake(absl::Status* why) WEFT_LOOP_ONLY {
    (void)why;
    return Progress::kDone;
  }
  // The identity of the other end, as the handshake has verified it. Constant from kDone on.
  virtual const TransportIdentity& identity() const { return TransportIdentity::None(); }
  virtual ssize_t Read(const iovec* pieces, int count) = 0;
  virtual ssize_t Write(const iovec* pieces, int count) = 0;
  // Bytes that Write took and that the other end has not: its system has not acknowledged them (a
  // socket), or it has not read them (in memory). SIZE_MAX: nobody can tell.
  virtual size_t Unacknowledged() const { return SIZE_MAX; }
  // Ends both directions without giving the descriptor back, so a Write under way elsewhere fails
  // cleanly.
  virtual void ShutDown() = 0;
  // Nothing more will be written: the other end reads what was, and then end of file. True: it may
  // not have all of it yet, and loses the rest if this is destroyed before it has closed its side,
  // which reads as end of file here. False: it keeps what was written, whatever happens here.
  virtual bool EndWrites() WEFT_LOOP_ONLY { return false; }
  // Watches for readiness on `loop`; nothing is watched for yet. Stopped before this is destroyed.
  virtual absl::StatusOr<std::unique_ptr<Watch>> NewWatch(EventLoop& loop,
                                                          WatchEvents* events) WEFT_LOOP_ONLY = 0;
  // The other end is given up when what was sent stays unacknowledged for so long, as far as the
  // transport can tell; zero: as the system does. Before the first Read.
  virtual void SetLostAfter(Nanos lost_after) { (void)lost_after; }
  // The system below takes about so many bytes and no more beyond those that it can send: the rest
  // waits in the queue, where what is urgent overtakes it. Before the first Write.
  virtual void SetMaxUnsent(size_t bytes) { (void)bytes; }
  // False: only the loop may write (TLS, whose reads and writes share state).
  virtual bool AnyThreadMayWrite() const = 0;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_TRANSPORT_H_
