// Calls of a few methods that come to a dispatcher from connections of the test's own, and a
// handler that is the test's, too.
//
//   Come ─► what is tested, on the loop ─► handler ─► Answer ─► answers
//
// Threads  handler: as the method runs. answers: any. Everything else: the test's own, or inside
//          OnLoop
// Owns     a loop, a runtime with one worker, the dispatcher, the calls
#ifndef WEFT_TESTS_RPC_SERVER_SERVED_CALLS_H_
#define WEFT_TESTS_RPC_SERVER_SERVED_CALLS_H_

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/runtime.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/server/dispatcher.h"

namespace weft {

class ServedCalls : public testing::Test, protected Service {
 protected:
  // A call's number and what it was answered.
  using Answers = std::vector<std::pair<uint64_t, absl::Status>>;

  class Origin final : public internal::CallOrigin {
   public:
    explicit Origin(Watched<Answers>& answers) : answers_(answers) {}
    void SendAnswer(internal::InboundCall& call, const absl::Status& status,
                    internal::ReplyMessage*, bool) override {
      const uint64_t id = call.id;
      answers_.Update([&](Answers& all) { all.emplace_back(id, status); });
    }
    void OnCallReturned(internal::InboundCall&) override {}
    void WatchDeadline(internal::InboundCall&) override {}
    const std::string& peer() const override { return peer_; }
    const std::string& identity() const override { return peer_; }

   private:
    Watched<Answers>& answers_;
    const std::string peer_ = "peer";
  };

  static constexpr std::string_view kSay = "a.B/Say", kInline = "a.B/Inline", kKeyed = "a.B/Keyed";

  // Two pools, the shared one and "other", of one worker each.
  void Serve(size_t queue = 100) {
    absl::StatusOr<std::shared_ptr<Runtime>> runtime =
        Runtime::Create({.worker_threads = 1,
                         .worker_queue = queue,
                         .pools = {{"other", {.threads = 1, .queue = queue}}}});
    ASSERT_TRUE(runtime.ok()) << runtime.status();
    runtime_ = *std::move(runtime);
    ASSERT_TRUE(dispatcher_.Serve(*runtime_).ok());
  }
  void SetUp() override { ASSERT_TRUE(dispatcher_.Add(*this).ok()); }
  void TearDown() override {
    OnLoop([] {});     // it may still be on its way out of handing over the last call
    runtime_.reset();  // and workers out of the call itself
    OnLoop([this] { pool_.Close(); });
  }

  void OnLoop(const std::function<void()>& closure) { loop_.Run(closure); }
  // The next call, numbered from 1; on the loop.
  internal::InboundCall& Come(std::string_view method, const std::shared_ptr<Origin>& origin) {
    internal::InboundCall& call = *calls_.emplace_back(&pool_.Take());
    call.origin = origin;
    call.id = calls_.size();
    call.bound = dispatcher_.Find(method);
    call.received = call.clock->Now();
    return call;
  }
  std::shared_ptr<Origin> Connect() { return std::make_shared<Origin>(answers_); }

  // Waits for so many answers.
  Answers Wait(size_t count) {
    EXPECT_TRUE(answers_.WaitFor([&](const Answers& all) { return all.size() >= count; }));
    return answers_.Get();
  }
  static std::vector<uint64_t> IdsOf(const Answers& answers) {
    std::vector<uint64_t> ids;
    for (const auto& [id, status] : answers) ids.push_back(id);
    return ids;
  }

  LoopThread loop_;
  std::function<void(internal::InboundCall&)> handler_ = [](internal::InboundCall& call) {
    call.Answer(absl::OkStatus(), nullptr);
  };
  Watched<Answers> answers_;
  internal::CallPool pool_{nullptr};
  internal::Dispatcher dispatcher_{/*run_inline=*/false};
  std::shared_ptr<Runtime> runtime_;
  std::vector<internal::InboundCall*> calls_;

 private:
  std::string_view full_name() const override { return "a.B"; }
  std::span<const ServiceMethod> methods() const override { return methods_; }
  static void Handle(Service& service, internal::InboundCall& call, internal::MessageCache&) {
    static_cast<ServedCalls&>(service).handler_(call);
  }

  const MethodInfo say_{.service = "a.B", .name = "Say", .full_name = kSay};
  const MethodInfo inline_{
      .service = "a.B", .name = "Inline", .full_name = kInline, .run_inline = true};
  const MethodInfo keyed_{.service = "a.B", .name = "Keyed", .full_name = kKeyed};
  const std::vector<ServiceMethod> methods_{
      {&say_, &Handle}, {&inline_, &Handle}, {&keyed_, &Handle}};
};

}  // namespace weft

#endif  // WEFT_TESTS_RPC_SERVER_SERVED_CALLS_H_
