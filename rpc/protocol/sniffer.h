// Recognises the protocol of an accepted connection by its first bytes. The server makes one for
// each such connection.
//
//   waits ──a row matches──► OnKnown          waits ──no row, end of file, deadline──► OnFailed
//     └──a transport's handshake begins, where that is optional──► OnTransport
//
// It reads all available bytes into the loop's arena and examines at most the first
// Protocol::kMaxSniffed. Everything read is handed on with the transport and its watch, so a
// connection whose first read tells its protocol costs no extra system call.
//
// Threads  loop-only
// Owns     the transport and its watch, until they are handed on
// Errors   OnFailed: the reason, and a Status that names the peer
// Ends     one of the host's functions runs exactly once, not inside Start; it may destroy the
//          sniffer. A sniffer destroyed earlier calls none
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

namespace weft::internal {

class Sniffer;

// The possible protocols of a connection. The table's contents outlive the sniffer.
struct SnifferTable {
  std::span<const Protocol> protocols;
  // Recognises the handshake of an optional transport, before the protocols. Null: none.
  Matcher transport = nullptr;
};

class SnifferHost {
 public:
  // `start.first_bytes` are in the loop's arena: take them before the next read.
  virtual void OnKnown(Sniffer& sniffer, const Protocol& protocol, SessionSeed seed,
                       SessionStart start) WEFT_LOOP_ONLY = 0;
  // The connection is not plain: `first` is for the factory of SnifferTable::transport, and is in
  // the arena, too. The sniffer no longer watches the transport.
  virtual void OnTransport(Sniffer& sniffer, SessionSeed seed, ReadAhead first) WEFT_LOOP_ONLY {
    (void)sniffer, (void)seed, (void)first;
  }
  virtual void OnFailed(Sniffer& sniffer, CloseReason reason,
                        const absl::Status& why) WEFT_LOOP_ONLY = 0;

 protected:
  ~SnifferHost() = default;
};

class Sniffer final : private WatchEvents {
 public:
  // `limit` counts from `began`.
  Sniffer(IoThread& io, SnifferHost& host, const SnifferTable& table,
          std::unique_ptr<Transport> transport, std::string peer, MonoTime began, Nanos limit);
  ~Sniffer();
  Sniffer(const Sniffer&) = delete;
  Sniffer& operator=(const Sniffer&) = delete;

  absl::Status Start() WEFT_LOOP_ONLY;
  const std::string& peer() const { return peer_; }

 private:
  // WatchEvents
  void OnReadable() override;
  void OnWritable() override {}
  void OnWatchFailed(const absl::Status& why) override;

  // Examines the `size` bytes that have come, in the arena.
  void Look(size_t size) WEFT_LOOP_ONLY;
  // The row that matches; null: none, or, with `*more`, not known yet.
  const Protocol* Find(std::string_view first, bool* more) const;
  // `protocol` null: hands on to the transport.
  void HandOn(const Protocol* protocol, size_t size) WEFT_LOOP_ONLY;
  void Fail(CloseReason reason, std::string_view what) WEFT_LOOP_ONLY;

  IoThread& io_;
  EventLoop& loop_;
  SnifferHost& host_;
  const SnifferTable table_;
  const Nanos limit_;
  const MonoTime began_;
  std::string peer_;
  std::unique_ptr<Transport> transport_ WEFT_LOOP_OWNED;
  std::unique_ptr<Watch> watch_ WEFT_LOOP_OWNED;
  Timer timer_ WEFT_LOOP_OWNED;
  // Bytes that came, while they are too few to tell.
  std::array<char, Protocol::kMaxSniffed> kept_ WEFT_LOOP_OWNED;
  size_t kept_size_ WEFT_LOOP_OWNED = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_SNIFFER_H_
