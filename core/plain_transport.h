// Bytes as they are, on a stream socket. Never raises SIGPIPE.
//
// Threads  as Transport
// Owns     its socket
#ifndef WEFT_CORE_PLAIN_TRANSPORT_H_
#define WEFT_CORE_PLAIN_TRANSPORT_H_

#include <utility>

#include "weft/core/socket.h"
#include "weft/core/transport.h"

namespace weft {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}
  ssize_t Read(const iovec* pieces, int count) override;
  ssize_t Write(const iovec* pieces, int count) override;
  void ShutDown() override;
  int fd() const override { return socket_.fd(); }
  bool AnyThreadMayWrite() const override { return true; }

 private:
  const Socket socket_;
};

}  // namespace weft

#endif  // WEFT_CORE_PLAIN_TRANSPORT_H_
