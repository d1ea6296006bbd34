// Shared by the walks through the states of calls: the four kinds of method, their messages byte by
// byte, and a peer that keeps account of credit.
//
// Threads  value: one thread at a time
#ifndef WEFT_TESTS_RPC_PROTOCOL_NATIVE_STREAM_WALK_H_
#define WEFT_TESTS_RPC_PROTOCOL_NATIVE_STREAM_WALK_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"

namespace weft::test {

enum class Kind { kUnary, kClientStreams, kServerStreams, kBothStream };

inline constexpr std::array kKinds = {Kind::kUnary, Kind::kClientStreams, Kind::kServerStreams,
                                      Kind::kBothStream};

inline const char* NameOf(Kind kind) {
  constexpr const char* kNames[] = {"Unary", "ClientStreams", "ServerStreams", "BothStream"};
  return kNames[static_cast<int>(kind)];
}
// Of the service weft.test.Rows.
inline std::string MethodOf(Kind kind) {
  constexpr const char* kNames[] = {"Get", "Add", "List", "Talk"};
  return std::string("weft.test.Rows/") + kNames[static_cast<int>(kind)];
}
inline bool ClientStreamsIn(Kind kind) {
  return kind == Kind::kClientStreams || kind == Kind::kBothStream;
}
inline bool ServerStreamsIn(Kind kind) {
  return kind == Kind::kServerStreams || kind == Kind::kBothStream;
}

// The credit that both sides of a walk give: little, so that it is soon used up.
inline constexpr uint32_t kStreamWindow = 4'096;
inline constexpr uint32_t kConnectionWindow = 16'384;
// Credit comes back in such parts of a window.
inline constexpr int64_t kReturned = kConnectionWindow / 4;
inline constexpr int64_t kCost = 16;

inline raw::HelloFields StreamingHello() {
  return {.max_message = 100'000,
          .features = 1,
          .stream_window = kStreamWindow,
          .connection_window = kConnectionWindow};
}

// A Row whose text makes it `size` bytes long.
inline std::string RowBytes(size_t size) {
  // The field's tag, and a length of one, two or three bytes.
  const size_t around = size < 130 ? 2 : size < 16'387 ? 3 : 4;
  std::string bytes = raw::Varint(3, size - around);
  bytes[0] = '\x1A';
  return bytes + std::string(size - around, 'r');
}

// A raw peer that counts the messages it has sent, and the credit it got back for them.
class AccountingPeer {
 public:
  AccountingPeer() = default;
  explicit AccountingPeer(RawPeer peer) : peer_(std::move(peer)) {}

  RawPeer& raw() { return peer_; }
  void Send(std::string_view bytes) { peer_.Send(bytes); }
  // Frames with stream messages whose whole sizes come to `bytes`.
  void SendMessages(std::string_view frames, int messages, int64_t bytes) {
    owed_ += bytes + messages * kCost;
    peer_.Send(frames);
  }
  std::optional<RawFrame> ReadFrame(internal::native::FrameType type) {
    for (;;) {
      std::optional<RawFrame> frame = peer_.ReadFrame();
      if (!frame.has_value()) return frame;
      if (frame->header.type == internal::native::FrameType::kWindow && frame->header.id == 0) {
        owed_ -= internal::LoadWire<uint32_t>(frame->body.data());
      }
      if (frame->header.type == internal::native::FrameType::kResponse) {
        answers_[frame->header.id].push_back(static_cast<absl::StatusCode>(frame->header.aux));
      }
      if (frame->header.type == internal::native::FrameType::kMessage) {
        messages_[frame->header.id].push_back(frame->header.flags);
      }
      if (frame->header.type == type) return frame;
    }
  }
  // Returns when the other side has taken what was sent before.
  void Settle() {
    peer_.Send(raw::Ping(9));
    ASSERT_TRUE(ReadFrame(internal::native::FrameType::kPing).has_value());
  }
  // The statuses that came for a call, once there is one; none where the connection ends before.
  std::vector<absl::StatusCode> Answers(uint64_t id) {
    while (answers_[id].empty() && ReadFrame(internal::native::FrameType::kResponse).has_value()) {
    }
    return answers_[id];
  }
  // The flags of the stream messages that came for a call, once there are so many.
  std::vector<int> Messages(uint64_t id, size_t count) {
    while (messages_[id].size() < count &&
           ReadFrame(internal::native::FrameType::kMessage).has_value()) {
    }
    return messages_[id];
  }
  // Of the connection's credit.
  int64_t owed() const { return owed_; }

 private:
  RawPeer peer_;
  int64_t owed_ = 0;
  std::map<uint64_t, std::vector<absl::StatusCode>> answers_;
  std::map<uint64_t, std::vector<int>> messages_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_RPC_PROTOCOL_NATIVE_STREAM_WALK_H_
