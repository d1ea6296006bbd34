// A call made up by a test, for a handler that the test calls itself: no server, no socket, no
// thread.
//
//   weft::TestCall call({.identity = "ann", .timeout = absl::Seconds(1), .clock = &clock});
//   absl::Status status = stock.Take(call.context(), request, reply);
//   EXPECT_EQ(call.trailers().Get("shelf"), "7");
//
//   weft::TestCall later;
//   stock.Take(later.context(), request, later.responder(reply));
//   EXPECT_TRUE(later.answered() && later.status().ok());
//
// The context is a server's, with everything that handlers do with it. Without a connection, node()
// is empty and caller() is null. TestStream adds the messages of streaming methods.
//
// Threads  the test's; Cancel, answered, status, WaitForAnswer and the responder: any
// Owns     the call; its parts live on until a responder that outlives this has answered
// Errors   a dropped Responder answers with INTERNAL, as on a server
// Ends     the context lives as long as this
#ifndef WEFT_RPC_TESTING_TEST_CALL_H_
#define WEFT_RPC_TESTING_TEST_CALL_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "weft/core/clock.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/responder.h"
#include "weft/rpc/call/server_context.h"

namespace weft {

// The call's facts, named as in ServerContext.
struct TestCallOptions {
  std::string method = "test.Service/Method";
  std::string peer = "test";
  std::string identity = "";
  Metadata metadata = {};
  absl::Cord attachment = {};
  // Counted from the call's construction.
  absl::Duration timeout = absl::InfiniteDuration();
  // Null: the system's clock.
  const Clock* clock = nullptr;
};

class TestCall {
 public:
  explicit TestCall(TestCallOptions options = {});
  ~TestCall();
  TestCall(const TestCall&) = delete;
  TestCall& operator=(const TestCall&) = delete;

  ServerContext& context() { return call().context(); }
  // The right to answer, for a handler that takes a Responder. Once. The handler fills `reply`,
  // which must live until the answer.
  template <typename Reply>
  Responder<Reply> responder(Reply& reply) {
    return Responder<Reply>(TakeAnswer(), reply,
                            [](internal::InboundCall& call, const absl::Status& status) {
                              call.Answer(status, nullptr);
                            });
  }
  // Calls `f` as a server calls a handler: calls, sleeps and coroutines begun in it end by the
  // call's deadline and its cancelling.
  template <typename F>
  auto Run(F&& f) {
    const internal::CallScope::Enter enter(call().Scope());
    return std::forward<F>(f)();
  }

  // Cancels the call as its caller or a lost connection would: cancelled(), the stop token, the
  // stream. Not while another thread answers. A passed deadline shows in cancelled() and
  // time_left() without this; only this stops the token.
  void Cancel();

  // ---- the outcome
  // True once a Responder or a stream has answered.
  bool answered() const;
  // The answer's status; OK before the answer.
  absl::Status status() const;
  // Waits for the answer of a handler that answers on another thread.
  void WaitForAnswer() const;
  // Set by the handler; readable before and after the answer.
  const Metadata& trailers() const;
  const Metadata& initial_metadata() const;
  // True after ServerContext::SendInitialMetadata, or a message of the stream.
  bool sent_initial_metadata() const;
  const absl::Cord& reply_attachment() const;
  Compression compression() const;

  // ---- for TestStream
  internal::InboundCall& call() const;
  // The call, for the part of the handler that answers it. Once.
  internal::InboundCall& TakeAnswer();

 private:
  class Connection;

  const std::shared_ptr<Connection> connection_;
};

}  // namespace weft

#endif  // WEFT_RPC_TESTING_TEST_CALL_H_
