// The other end of a connection as a test wants it: sends any bytes, reads frames, sees the end.
//
// Blocking, with the patience of tests (watched.h): what does not come in time is a failure, not a
// hang.
//
// Threads  value: one thread at a time
// Owns     its socket
// Errors   what must not happen fails the running test
#ifndef WEFT_TESTS_SUPPORT_RAW_PEER_H_
#define WEFT_TESTS_SUPPORT_RAW_PEER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "weft/rpc/protocol/native/frame_format.h"

namespace weft {

// A frame as it came, whatever it says.
struct RawFrame {
  internal::native::FrameHeader header;
  std::string body;
};

class RawPeer {
 public:
  RawPeer() = default;
  explicit RawPeer(int fd) : fd_(fd) {}
  RawPeer(RawPeer&& o) noexcept
      : fd_(std::exchange(o.fd_, -1)), ended_(o.ended_), kept_(std::move(o.kept_)) {}
  RawPeer& operator=(RawPeer&& o) noexcept {
    std::swap(fd_, o.fd_);
    std::swap(ended_, o.ended_);
    std::swap(kept_, o.kept_);
    return *this;
  }
  ~RawPeer() { Close(); }

  // Connects to 127.0.0.1:`port`. `receive_buffer`: SO_RCVBUF, for peers that are to be full soon.
  static RawPeer ConnectTo(int port, int receive_buffer = 0);

  // All of it. A peer that has closed takes no bytes: that is no failure here.
  void Send(std::string_view bytes);
  // Each byte in a segment of its own.
  void SendByByte(std::string_view bytes);
  // Ends the stream of bytes sent to the other side.
  void ShutDownWrites();
  void Close();
  // The socket, for somebody else to close.
  int Release() { return std::exchange(fd_, -1); }
  // An end that the other side sees as ECONNRESET.
  void Reset();

  // The next `n` bytes; fewer where the connection ends before.
  std::string Read(size_t n);
  // The next frame; nothing where the connection ends.
  std::optional<RawFrame> ReadFrame();
  // The next frame of this type; others are left out.
  std::optional<RawFrame> ReadFrame(internal::native::FrameType type);
  // Reads, and drops, until the other side has closed, then closes this one for writing. False when
  // the other has not in time.
  [[nodiscard]] bool WaitForClose();

 private:
  bool Fill(size_t n);

  int fd_ = -1;
  bool ended_ = false;
  std::string kept_;
};

// Accepts what a channel dials.
class RawListener {
 public:
  RawListener();
  ~RawListener();
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;

  int port() const { return port_; }
  std::string address() const;
  RawPeer Accept();

 private:
  int fd_ = -1;
  int port_ = 0;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_RAW_PEER_H_
