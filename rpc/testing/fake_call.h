// The other end of one streaming call, played from a script, for the fakes of fake_streams.h. The
// call in front of it is real; behind it is no connection, server or clock.
//
//   new ──Start──► open ──► ended: cancelled · failed after so many messages · all that was pushed
//                                  is read and an end was given (and, if that is to wait for it,
//                                  the caller has half-closed)
//
// Each event runs on the thread that causes it: the caller's that reads, writes or cancels, or the
// test's that pushes, ends or makes room. The caller's callbacks and coroutines run as with a real
// call, never inside a call of the caller's or the test's: on their executor, else on an I/O thread
// of the fake's call. So a blocking test is deterministic with one thread, and a test with
// callbacks waits for them. The caller's timeout does not run.
//
// Threads  any; `on_message`: one writer's at a time, inside its write. Pushes reach the caller in
//          their order
// Owns     the script and the call's I/O thread; the open call keeps the fake alive
// Errors   FAILED_PRECONDITION, to a second call
// Ends     the call completes once, at the latest when its holder drops it
#ifndef WEFT_RPC_TESTING_FAKE_CALL_H_
#define WEFT_RPC_TESTING_FAKE_CALL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "weft/core/mutex.h"
#include "weft/core/runtime.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/stream_transport.h"
#include "weft/rpc/testing/fake_script.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class WEFT_ANY_THREAD FakeCall final : public CallTarget,
                                       public StreamTransport,
                                       public std::enable_shared_from_this<FakeCall> {
 public:
  // Gets a written message and its attachment.
  using OnMessage =
      absl::AnyInvocable<void(const google::protobuf::MessageLite&, const absl::Cord& attachment)>;
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  // `on_message`: gets each message that the caller writes.
  explicit FakeCall(OnMessage on_message) : on_message_(std::move(on_message)) {}
  ~FakeCall() override;

  // ---- by the test
  // Gives the caller a message to read, behind earlier ones. Ignored after End.
  void Push(const google::protobuf::MessageLite& message, const absl::Cord& attachment)
      WEFT_EXCLUDES(mu_);
  // Ends the call with `status` when all pushed messages have been read. The first End counts.
  void End(absl::Status status) WEFT_EXCLUDES(mu_);
  // The same once the caller has half-closed, unless End comes first.
  void EndAtHalfClose(absl::Status status) WEFT_EXCLUDES(mu_);
  // The reply of an OK end, for a call in which only the caller streams.
  void SetReply(const google::protobuf::MessageLite& reply) WEFT_EXCLUDES(mu_);
  void SetTrailers(const Metadata& trailers) WEFT_EXCLUDES(mu_);
  // Arrives as the call opens. Set it before.
  void SetInitialMetadata(const Metadata& metadata) WEFT_EXCLUDES(mu_);
  // Ends the call with `status` after the caller has written so many messages, even if pushed
  // messages are unread.
  void FailAfter(size_t messages, absl::Status status) WEFT_EXCLUDES(mu_);
  // Sets how many more messages the caller may write before it must wait.
  void SetRoom(size_t messages) WEFT_EXCLUDES(mu_);
  // Waits until callbacks and coroutines without an executor that are due now have run. Returns at
  // once inside one of them.
  void WaitForCallbacks() WEFT_EXCLUDES(mu_);

  bool opened() const WEFT_EXCLUDES(mu_);
  bool half_closed() const WEFT_EXCLUDES(mu_);
  bool cancelled() const WEFT_EXCLUDES(mu_);
  bool ended() const WEFT_EXCLUDES(mu_);

  // ---- CallTarget, StreamTransport
  void Start(OutboundCall& call) override WEFT_EXCLUDES(mu_);
  StreamSent SendMessage(StreamPort& port, const StreamMessage& message, bool last, bool gather,
                         absl::Status* why) override WEFT_EXCLUDES(mu_);
  void SendHalfClose(StreamPort& port) override WEFT_EXCLUDES(mu_);
  void ReturnCredit(StreamPort& port, size_t bytes) override WEFT_EXCLUDES(mu_);
  bool HasRoom(StreamPort& port) override WEFT_EXCLUDES(mu_);

 private:
  // Connects the call's handles with Cancel.
  class Canceller final : public CallCanceller {
   public:
    explicit Canceller(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
    void CancelCall(uint64_t) override { cancel_(); }

   private:
    const std::function<void()> cancel_;
  };

  void Cancel() WEFT_EXCLUDES(mu_);
  // Delivers pushed messages to the call, one thread at a time.
  void DeliverPushed() WEFT_EXCLUDES(mu_);
  void EndIfDue() WEFT_EXCLUDES(mu_);
  std::optional<absl::Status> DueEnd() const WEFT_REQUIRES(mu_);

  OnMessage on_message_;  // used by the writer
  Canceller canceller_{[this] { Cancel(); }};

  mutable Mutex mu_;
  std::shared_ptr<Runtime> runtime_ WEFT_GUARDED_BY(mu_);  // the open call's I/O thread
  bool opened_ WEFT_GUARDED_BY(mu_) = false;
  bool starting_ WEFT_GUARDED_BY(mu_) = false;
  OutboundCall* call_ WEFT_GUARDED_BY(mu_) = nullptr;      // while it is open
  std::shared_ptr<StreamPort> port_ WEFT_GUARDED_BY(mu_);  // likewise
  FakeScript script_ WEFT_GUARDED_BY(mu_);
  bool delivering_ WEFT_GUARDED_BY(mu_) = false;
  size_t written_ WEFT_GUARDED_BY(mu_) = 0;
  size_t room_ WEFT_GUARDED_BY(mu_) = kNoLimit;
  bool wants_room_ WEFT_GUARDED_BY(mu_) = false;
  bool half_closed_ WEFT_GUARDED_BY(mu_) = false;
  bool cancelled_ WEFT_GUARDED_BY(mu_) = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_TESTING_FAKE_CALL_H_
