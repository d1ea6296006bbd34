// Finds out which protocol an accepted connection speaks, by its first bytes.
//
//   waits ──a row matches──► OnKnown          waits ──no row, end of file, deadline──► OnFailed
//     └──a transport's handshake begins, where that is optional──► OnTransport
//
// It reads into the loop's arena, as much as comes, and looks at no more than the first
// Protocol::kMaxSniffed bytes. Everything that was read is handed on with the transport and its
// watch, so that a connection whose first read tells its protocol costs no system call for this.
//
// Threads  loop-only
// Owns     the transport and its watch, until they are handed on
// Errors   OnFailed: the reason, and a Status that names the peer
// Ends     one of the host's functions runs exactly once, not inside Start; it may destroy the
//          sniffer. A sniffer that is destroyed before says nothing
#ifndef WEFT_RPC_PROTOCOL_SNIFFER_H_
#define WEFT_RPC_PROTOCOL_SNIFFER_H_

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/loop_group.h"
#include "weft/core/match.h"
#include "weft/core/timer.h"
#include "weft/core/transport.h"
#include "weft/core/watch.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/protocol.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft {

class Sniffer;

// What a connection may turn out to be. What stands in it outlives the sniffer.
struct SnifferTable {
  std::span<const Protocol> protocols;
  // Tells the handshake of a transport that is optional, before the protocols. Null: there is none.
  Matcher transport = nullptr;
};

class SnifferHost {
 public:
  // `start.first_bytes` stand in the loop's arena: they are to be taken before the next read.
  virtual void OnKnown(Sniffer& sniffer, const Protocol& protocol, SessionSeed seed,
                       SessionStart start) LOOP_ONLY = 0;
  // It is not plain: `first` is for SnifferTable::transport's factory, and stands in the arena,
  // too. The sniffer watches it no more.
  virtual void OnTransport(Sniffer& sniffer, SessionSeed seed, ReadAhead first) LOOP_ONLY {
    (void)sniffer, (void)seed, (void)first;
  }
  virtual void OnFailed(Sniffer& sniffer, CloseReason reason,
                        const absl::Status& why) LOOP_ONLY = 0;

 protected:
  ~SnifferHost() = default;
};

class Sniffer final : private WatchEvents {
 public:
  // `limit` counts from `began` on.
  Sniffer(IoThread& io, SnifferHost& host, const SnifferTable& table,
          std::unique_ptr<Transport> transport, std::string peer, MonoTime began, Nanos limit);
  ~Sniffer();
  Sniffer(const Sniffer&) = delete;
  Sniffer& operator=(const Sniffer&) = delete;

  absl::Status Start() LOOP_ONLY;
  const std::string& peer() const { return peer_; }

 private:
  // WatchEvents
  void OnReadable() override;
  void OnWritable() override {}
  void OnWatchFailed(const absl::Status& why) override;

  // Looks at all that has come, `size` bytes in the arena.
  void Look(size_t size) LOOP_ONLY;
  // The row that the bytes are of; null: none, or, `*more`, not known yet.
  const Protocol* Find(std::string_view first, bool* more) const;
  // Null: to the transport.
  void HandOn(const Protocol* protocol, size_t size) LOOP_ONLY;
  void Fail(CloseReason reason, std::string_view what) LOOP_ONLY;

  IoThread& io_;
  EventLoop& loop_;
  SnifferHost& host_;
  const SnifferTable table_;
  const Nanos limit_;
  const MonoTime began_;
  std::string peer_;
  std::unique_ptr<Transport> transport_ LOOP_OWNED;
  std::unique_ptr<Watch> watch_ LOOP_OWNED;
  Timer timer_ LOOP_OWNED;
  // What came, while that is too little.
  std::array<char, Protocol::kMaxSniffed> kept_ LOOP_OWNED;
  size_t kept_size_ LOOP_OWNED = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SNIFFER_H_
