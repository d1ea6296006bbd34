// Keeps what the caller's side of a stream has sent, while its call may still go to another server:
// the bytes of its messages in their order, and how far they have been sent again.
//
//   kNowhere ──Bind──► kBound ──Open──► kSendingAgain ──all are sent──► kOpen
//       ▲                 │                   │                           │
//       └─────────────────┴────── Unbind ─────┴───────────────────────────┘
//
// Keeping ends when the messages are more than kMax, or when the server has said something of the
// call. From then on the call stays where it is.
//
// StreamOutbox makes one for each stream of a client that may be sent again. It lives as long as
// the stream; its bytes go earlier.
//
// Threads  value; its stream's mutex guards it. Bytes that were given out stay where they are
//          between Use and its Unuse
// Owns     the bytes
#ifndef WEFT_RPC_CALL_SENT_MESSAGES_H_
#define WEFT_RPC_CALL_SENT_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/cord.h"
#include "weft/core/requirements.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class SentMessages {
 public:
  // The first window of a stream, as most servers give it (SessionLimits::stream_window_bytes).
  static constexpr size_t kMax = 256 << 10;

  struct Message {
    std::string_view bytes;
    const absl::Cord* attachment = nullptr;
    bool last = false;
  };

  // ---- by the writer
  // New messages may be sent: the call has a carrier, which has everything that was sent before.
  bool open() const { return state_ == State::kOpen; }
  bool keeps() const { return keeps_; }
  // How often the call has lost its carrier.
  uint32_t turn() const { return turn_; }
  // Keeps one more message, and shares its attachment. False: the messages would be too many, and
  // nothing is kept from here on. `*bytes`: the message, serialized.
  bool Add(const google::protobuf::MessageLite& message, const absl::Cord* attachment, bool last,
           std::string_view* bytes);
  // Removes the message that was added last, which was not sent.
  void TakeBack();

  // ---- by the carrier of the call
  void Bind() { state_ = State::kBound; }
  // False: it is open already, or has lost its carrier meanwhile.
  bool Open();
  // In kSendingAgain: gives the next message to be sent. False: all have been sent, and it is open
  // now.
  bool Next(Message* message);
  void SentNext();
  bool sending_again() const { return state_ == State::kSendingAgain; }
  // The call is to go to another server. False: it stays where it is.
  bool Unbind();
  // The call stays where it is.
  void Forget();

  // ---- by both
  void Use() { ++users_; }
  void Unuse();

 private:
  enum class State : uint8_t { kNowhere, kBound, kSendingAgain, kOpen };

  void FreeIfIdle();

  // Stands before each message in bytes_.
  struct Head {
    uint32_t size;
    bool attached;
    bool last;
  };
  Head HeadAt(size_t at) const;

  // Heads and messages, one behind the other.
  std::string bytes_;
  // Of those messages that have one, in their order.
  std::vector<absl::Cord> attachments_;
  size_t attached_bytes_ = 0;
  // Positions in `bytes_`: the head of the last message, and of the next one to be sent again.
  size_t last_added_ = 0;
  size_t next_ = 0;
  // The first attachment that was not sent again yet.
  size_t next_attachment_ = 0;
  uint32_t turn_ = 0;
  // Sends that read `bytes_` without the mutex.
  uint32_t users_ = 0;
  State state_ = State::kNowhere;
  bool keeps_ = true;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_SENT_MESSAGES_H_
