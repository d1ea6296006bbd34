// A test's script for one streaming call: the messages to push, the end and its time, and the
// progress so far.
//
// Threads  value; its call's mutex guards it
// Owns     messages pushed and not delivered
#ifndef WEFT_RPC_TESTING_FAKE_SCRIPT_H_
#define WEFT_RPC_TESTING_FAKE_SCRIPT_H_

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "weft/rpc/base/received_message.h"

namespace weft::internal {

class FakeScript {
 public:
  // ---- by the test
  // False: the end is set already.
  bool Push(ReceivedMessage message);
  // The first end counts; false: there was one.
  bool End(absl::Status status);
  void EndAtHalfClose(absl::Status status) { end_at_half_close_ = std::move(status); }
  void FailAfter(size_t messages, absl::Status status) {
    failure_ = Failure{messages, std::move(status)};
  }
  void SetReply(std::string bytes) { reply_ = std::move(bytes); }
  void SetTrailers(std::string bytes) { trailers_ = std::move(bytes); }
  void SetInitialMetadata(std::string bytes) { initial_metadata_ = std::move(bytes); }

  // ---- by the call
  const std::string& reply() const { return reply_; }
  const std::string& trailers() const { return trailers_; }
  const std::optional<std::string>& initial_metadata() const { return initial_metadata_; }
  // Takes the next message to deliver; false: none.
  bool TakePushed(ReceivedMessage* message);
  // The caller has read `messages` more.
  void SetRead(size_t messages) { unread_ -= messages; }
  // The call's end if it is due, after `written` messages from the caller; nothing: the call goes
  // on.
  std::optional<absl::Status> DueEnd(size_t written, bool half_closed) const;

 private:
  struct Failure {
    size_t after = 0;
    absl::Status status;
  };

  std::deque<ReceivedMessage> pushed_;
  size_t unread_ = 0;  // pushed and not read, delivered or not
  std::optional<absl::Status> end_;
  std::optional<absl::Status> end_at_half_close_;
  std::optional<Failure> failure_;
  std::string reply_;
  std::string trailers_;
  std::optional<std::string> initial_metadata_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_TESTING_FAKE_SCRIPT_H_
