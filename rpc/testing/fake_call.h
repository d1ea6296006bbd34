// The other end of one streaming call, played from a script: what the fakes of fake_streams.h stand
// on. The call in front of it is a real one; no connection, loop or clock is behind it.
//
//   new ──Start──► open ──► ended: cancelled · failed after so many messages · all that was pushed
//                                  is read and an end was given (and, if that is to wait for it,
//                                  the caller has half-closed)
//
// What happens runs on the thread that makes it happen: the caller's that reads, writes or cancels,
// or the test's that pushes, ends or makes room. Callbacks and coroutines of the caller go on as
// with a real call, never inside a call of the caller's or the test's: on their executor, else on
// an I/O thread that the fake's call has of its own. So a test that blocks is deterministic with
// one thread, and one with callbacks waits for them. The caller's timeout does not run.
//
// Threads  any; `on_message`: one writer's at a time, inside its write. Pushes reach the caller in
//          their order
// Owns     the script, and the call's I/O thread; is kept by the call while it is open
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

namespace weft {

class ANY_THREAD FakeCall final : public CallTarget,
                                  public StreamTransport,
                                  public std::enable_shared_from_this<FakeCall> {
 public:
  // With what was written beside it.
  using OnMessage =
      absl::AnyInvocable<void(const google::protobuf::MessageLite&, const absl::Cord& attachment)>;
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  // `on_message`: gets what the caller writes.
  explicit FakeCall(OnMessage on_message) : on_message_(std::move(on_message)) {}
  ~FakeCall() override;

  // ---- by the test
  // To be read by the caller, behind what was pushed before. Nothing after End.
  void Push(const google::protobuf::MessageLite& message, const absl::Cord& attachment)
      WEFT_EXCLUDES(mu_);
  // The call ends so when what was pushed has been read; the first End counts.
  void End(absl::Status status) WEFT_EXCLUDES(mu_);
  // Unless End comes first: when the caller has half-closed, too.
  void EndAtHalfClose(absl::Status status) WEFT_EXCLUDES(mu_);
  // Goes with an OK end, where the caller alone streams.
  void SetReply(const google::protobuf::MessageLite& reply) WEFT_EXCLUDES(mu_);
  void SetTrailers(const Metadata& trailers) WEFT_EXCLUDES(mu_);
  // Comes as the call opens. Before that.
  void SetInitialMetadata(const Metadata& metadata) WEFT_EXCLUDES(mu_);
  // The call ends so when the caller has written so many messages; what waits to be read does not
  // hold it up.
  void FailAfter(size_t messages, absl::Status status) WEFT_EXCLUDES(mu_);
  // How many more messages the caller may write before it is not ready.
  void SetRoom(size_t messages) WEFT_EXCLUDES(mu_);
  // Returns when callbacks and coroutines without an executor that are due by now have run; at once
  // inside one of them.
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
  // The way of the call's handles.
  class Canceller final : public CallCanceller {
   public:
    explicit Canceller(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
    void CancelCall(uint64_t) override { cancel_(); }

   private:
    const std::function<void()> cancel_;
  };

  void Cancel() WEFT_EXCLUDES(mu_);
  // Hands what was pushed to the call, one thread at a time.
  void DeliverPushed() WEFT_EXCLUDES(mu_);
  void EndIfDue() WEFT_EXCLUDES(mu_);
  std::optional<absl::Status> DueEnd() const WEFT_REQUIRES(mu_);

  OnMessage on_message_;  // the writer's
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

}  // namespace weft

#endif  // WEFT_RPC_TESTING_FAKE_CALL_H_
