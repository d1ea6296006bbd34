// The service of these tests: answers at once, or when the test says so.
//
// Threads  any; the hook is set before the server starts
#ifndef WEFT_TESTS_RPC_PROTOCOL_NATIVE_HELD_ECHO_H_
#define WEFT_TESTS_RPC_PROTOCOL_NATIVE_HELD_ECHO_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "tests/support/watched.h"
#include "weft/core/runtime.h"

namespace weft::test {

class HeldEcho final : public EchoService::AsyncService {
 public:
  // Runs in Echo's handler, on a worker.
  std::function<void(ServerContext&)> in_echo;
  Watched<int> echoed{0};

  void Echo(ServerContext& call, EchoRequest& request, Responder<EchoReply> responder) override {
    if (in_echo) in_echo(call);
    echoed.Update([](int& n) { ++n; });
    Fill(request, responder.reply());
    responder.Finish();
  }
  void EchoInline(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    Fill(request, responder.reply());
    responder.Finish();
  }
  // The message says how many bytes of trailers there are to be.
  void Fail(ServerContext& call, FailRequest& request, Responder<FailReply> responder) override {
    absl::Status status(static_cast<absl::StatusCode>(request.code()), request.message());
    status.SetPayload("type.googleapis.com/weft.test.FailRequest",
                      absl::Cord(request.SerializeAsString()));
    const size_t trailers = request.message().size() > 6 ? 0 : std::stoul(request.message());
    if (trailers > 0) {
      EXPECT_TRUE(call.trailers().Add("t", std::string(trailers, 't')).ok());
    }
    responder.Finish(status);
  }
  void Produce(ServerContext&, ProduceRequest& request,
               Responder<ProduceReply> responder) override {
    responder.reply().set_payload(std::string(static_cast<size_t>(request.bytes()), 'p'));
    responder.Finish();
  }
  void Hang(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    Fill(request, responder.reply());
    const auto held = std::make_shared<Responder<EchoReply>>(std::move(responder));
    bool hangs = true;
    held_.Update([&](auto& all) {
      hangs = hangs_;
      if (hangs) all.push_back(held);
    });
    if (!hangs) held->Finish();
  }

  // The `n`th call of Hang, when it has come.
  Responder<EchoReply>& Held(size_t n) {
    EXPECT_TRUE(held_.WaitFor([&](const auto& all) { return all.size() > n; }));
    return *held_.Get().at(n);
  }
  size_t held() const { return held_.Get().size(); }
  // Answers all that hang, and those that come later at once: for the end of a test.
  void End() {
    held_.Update([this](auto&) { hangs_ = false; });
    Release();
  }
  // Answers all that hang.
  void Release() {
    for (const auto& responder : held_.Get()) {
      if (!responder->finished()) responder->Finish();
    }
  }

 private:
  static void Fill(const EchoRequest& request, EchoReply& reply) {
    reply.set_payload(request.payload());
    reply.set_text(request.text());
    reply.set_number(request.number());
  }

  Watched<std::vector<std::shared_ptr<Responder<EchoReply>>>> held_;
  bool hangs_ = true;  // under the lock of held_
};

// Nothing is logged: these tests do what an operator would be told about.
inline std::shared_ptr<Runtime> QuietRuntime(int workers = 2) {
  RuntimeOptions options;
  options.worker_threads = workers;
  options.log_level = LogLevel::kOff;
  return *Runtime::Create(std::move(options));
}

}  // namespace weft::test

#endif  // WEFT_TESTS_RPC_PROTOCOL_NATIVE_HELD_ECHO_H_
