// Bytes as they are, on a stream socket. Never raises SIGPIPE.
//
// Threads  as Transport
// Owns     its socket
#ifndef WEFT_CORE_PLAIN_TRANSPORT_H_
#define WEFT_CORE_PLAIN_TRANSPORT_H_

#include <memory>
#include <utility>

#include "weft/core/socket.h"
#include "weft/core/transport.h"

namespace weft::internal {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}
  ssize_t Read(const iovec* pieces, int count) override;
  ssize_t Write(const iovec* pieces, int count) override;
  size_t Unacknowledged() const override;
  void ShutDown() override;
  bool EndWrites() WEFT_LOOP_ONLY override;
  absl::StatusOr<std::unique_ptr<Watch>> NewWatch(EventLoop& loop,
                                                  WatchEvents* events) WEFT_LOOP_ONLY override;
  void SetLostAfter(Nanos lost_after) override { socket_.SetTcpOptions(lost_after); }
  void SetMaxUnsent(size_t bytes) override { socket_.SetMaxUnsent(bytes); }
  bool AnyThreadMayWrite() const override { return true; }
  int fd() const { return socket_.fd(); }

 private:
  const Socket socket_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_PLAIN_TRANSPORT_H_
