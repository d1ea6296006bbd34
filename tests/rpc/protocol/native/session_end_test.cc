// A session that ends inside any callback: of its host, its sink, a call or a stream, of either
// side. It ends once, and so does each of its calls; nothing is handed out afterwards.
//
// One script has everything that a peer may say. Each run plays it and ends the session in another
// callback: run n in the n-th, until there are no more.
#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/fed_transport.h"
#include "tests/support/kept_reply.h"
#include "tests/support/link_caller.h"
#include "tests/support/raw_frames.h"
#include "tests/support/watched.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/client_stream_call.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/native/hello.pb.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::internal::native {
namespace {

// The action that the callback takes.
enum class How : uint8_t {
  kClose,
  kCloseWhenWritten,
  kBreak,   // the transport: the next write fails, perhaps inside the callback
  kGoAway,  // the session goes on, and takes no more calls
};
enum class Auth : uint8_t {
  kAtOnce,
  kLater,
  kBeforeHello,  // later, and the accepting side's Hello behind it
};

// From so many bytes on a message is written at once, and so may end the session there.
constexpr size_t kLarge = size_t{400} << 10;

constexpr MethodInfo kMethods[] = {
    {"walk.Service", "Get", "walk.Service/Get"},
    {"walk.Service", "Add", "walk.Service/Add", MethodKind::kClientStreaming},
    {"walk.Service", "List", "walk.Service/List", MethodKind::kServerStreaming},
    {"walk.Service", "Talk", "walk.Service/Talk", MethodKind::kBidirectional},
};

Hello MessageOf(size_t size) {
  Hello message;
  message.set_auth_token(std::string(size, 'm'));
  return message;
}

// The state of one run. Touched on the loop alone.
struct Played {
  How how = How::kClose;
  int at = 0;
  IoThread* io = nullptr;
  FedStream stream;
  Session* session = nullptr;
  int callbacks = 0;

  // In each callback.
  void Step() {
    if (++callbacks != at) return;
    io->loop->AssertInLoop();
    const absl::Status why = absl::UnavailableError("the test ends it");
    switch (how) {
      case How::kClose:
        session->Close(CloseReason::kLocal, why);
        return;
      case How::kCloseWhenWritten:
        session->CloseWhenWritten(CloseReason::kLocal, why, kLastWords);
        return;
      case How::kBreak:
        stream.broken = true;
        return;
      case How::kGoAway:
        session->GoAway(why);
        return;
    }
  }
};

// The peer's calls: some are answered at once, some when they are cancelled, the others when the
// session has ended.
class Sink final : public InboundSink {
 public:
  explicit Sink(Played& run) : run_(run) {
    for (size_t i = 0; i < std::size(kMethods); ++i) {
      methods_[i].info = &kMethods[i];
      bound_[i].method = &methods_[i];
      bound_[i].stats = &stats_;
    }
  }
  const BoundMethod* Find(std::string_view name) override {
    for (const BoundMethod& bound : bound_) {
      if (name == bound.method->info->full_name) return &bound;
    }
    return nullptr;
  }
  absl::Status Unknown(std::string_view) override { return absl::UnimplementedError("none"); }
  void OnCallBegins(InboundCall&) override {
    EXPECT_FALSE(ended);
    run_.Step();
  }
  void OnCall(InboundCall& call) override {
    EXPECT_FALSE(ended);
    auto taken = std::make_shared<Taken>();
    taken->call = &call;
    taken->scope = call.Scope();
    taken_.push_back(taken);
    const uint64_t id = call.id.load(std::memory_order_relaxed);
    taken->on_stop.emplace(taken->scope->stop_token(), [this, taken = taken.get(), id] {
      run_.Step();
      if (id % 2 == 0) Answer(*taken, kLarge);
    });
    if (call.stream != nullptr && ClientStreams(call.bound->method->info->kind)) Read(taken);
    run_.Step();
    if (call.stream != nullptr && ServerStreams(call.bound->method->info->kind) &&
        taken->call != nullptr) {
      const std::shared_ptr<StreamPort> port = call.stream;
      (void)port->TryWrite(MessageOf(100), /*last=*/false);
      (void)port->TryWrite(MessageOf(100'000), /*last=*/false);
    }
    if (id == 1) Answer(*taken, kLarge);
    if (id == 2) Answer(*taken, 10);
  }
  // Answers the calls that are left.
  void AnswerAll() {
    for (const auto& taken : taken_) Answer(*taken, 10);
  }

  bool ended = false;

 private:
  struct Taken {
    InboundCall* call = nullptr;  // null: answered
    std::shared_ptr<CallScope> scope;
    std::optional<std::stop_callback<std::function<void()>>> on_stop;
  };

  void Answer(Taken& taken, size_t size) {
    InboundCall* const call = std::exchange(taken.call, nullptr);
    if (call == nullptr) return;
    KeptReply reply(std::make_shared<Hello>(MessageOf(size)));
    call->Answer(absl::OkStatus(),
                 ServerStreams(call->bound->method->info->kind) ? nullptr : &reply);
  }
  void Read(const std::shared_ptr<Taken>& taken) {
    if (taken->call == nullptr) return;
    const std::shared_ptr<StreamPort> port = taken->call->stream;
    Hello message;
    StreamRead read;
    while ((read = port->TryRead(&message)) == StreamRead::kMessage) {
    }
    if (read == StreamRead::kEnd) return;
    const bool waits = port->Wait(StreamPort::For::kMessages, [this, taken] {
      run_.Step();
      Read(taken);
    });
    if (!waits && !port->ended()) Read(taken);
  }

  Played& run_;
  ServiceMethod methods_[std::size(kMethods)];
  MethodStats stats_{"walk.Service/Get"};
  BoundMethod bound_[std::size(kMethods)];
  std::vector<std::shared_ptr<Taken>> taken_;
};

class Call final : public OutboundCall {
 public:
  Call(Played& run, size_t size)
      : Call(run, std::make_unique<Hello>(MessageOf(size)), CallOptions()) {}
  void Complete(const CallEnd&) override {
    ++ends;
    run_.Step();
    if (then) std::exchange(then, nullptr)();
  }
  void OnInitialMetadata(std::string_view raw) override {
    OutboundCall::OnInitialMetadata(raw);
    run_.Step();
  }

  bool taken = false;  // by the link
  int ends = 0;
  std::function<void()> then;

 private:
  Call(Played& run, std::unique_ptr<Hello> message, const CallOptions& wishes)
      : OutboundCall(kMethods[0], *message, wishes), run_(run), message_(std::move(message)) {}

  Played& run_;
  const std::unique_ptr<Hello> message_;
};

// Uses the session in every way that its host can, so that each kind of callback comes, and counts
// each by Step, which ends the session at the one that the test has chosen. It expects that none
// comes after OnEnded, and that every call ends once.
class Host final : public SessionHost {
 public:
  Host(Played& run, Sink& sink, Auth auth) : run_(run), sink_(sink), auth_(auth) {}

  absl::Status OnHello(Session&, const HelloFacts&, HelloFacts*) override {
    EXPECT_FALSE(up_ || ended_);
    run_.Step();
    return absl::OkStatus();
  }
  absl::Status OnIdentified(Session&, const ConnectedPeer&, const HelloFacts&,
                            HelloFacts*) override {
    EXPECT_FALSE(up_ || ended_);
    run_.Step();
    return absl::OkStatus();
  }
  void OnUp(Session& session) override {
    EXPECT_FALSE(up_ || ended_);
    up_ = true;
    link_ = static_cast<NativeSession&>(session).native_link();
    run_.Step();
    for (int i = 1; i <= 4; ++i) Start(10);
    session.Probe([this] { Told(); });  // PING 1
    test::LinkCaller caller(link_, run_.io->loop);
    for (size_t i = 1; i < std::size(kMethods); ++i) {  // 5, 6 and 7
      const bool one_reply = kMethods[i].kind == MethodKind::kClientStreaming;
      streams_.push_back(ClientStreamCall::Launch(caller, kMethods[i], empty_,
                                                  one_reply ? std::make_unique<Hello>() : nullptr,
                                                  CallOptions()));
      Follow(streams_.back());
    }
    Start(10);
    Start(kLarge);  // 9
    // A call that a completion starts may end the session while others complete.
    calls_.front()->then = [this] { Start(kLarge); };
  }
  void OnGoingAway(Session&, const absl::Status&) override { Told(); }
  void OnLastCallEnded(Session&) override { Told(); }
  void OnGoAwayConfirmed(Session&) override { Told(); }
  void OnSuspect(Session&, bool) override { Told(); }
  void CountLateReply() override { run_.Step(); }  // also of what the end completes
  void OnEnded(Session&, CloseReason, const absl::Status&) override {
    EXPECT_FALSE(ended_) << "it ended twice";
    ended_ = true;
    sink_.ended = true;
    run_.Step();
    sink_.AnswerAll();
    ended.Notify();
  }
  void Authenticate(Session&, std::string_view, Verdict verdict) override {
    run_.Step();
    if (auth_ == Auth::kAtOnce) {
      verdict(std::string());
    } else {
      run_.io->loop->Post([verdict = std::move(verdict)](TaskFate) { verdict(std::string()); });
    }
  }

  // When everything is over.
  void CheckCalls() {
    for (const auto& call : calls_) EXPECT_EQ(call->ends, call->taken ? 1 : 0);
    size_t told = 0;
    for (const auto& stream : streams_) stream->TellEnd([&](const absl::Status&) { ++told; });
    EXPECT_EQ(told, streams_.size());
    link_.reset();
  }

  Notification ended;

 private:
  void Told() {
    EXPECT_TRUE(up_ && !ended_);
    run_.Step();
  }
  void Start(size_t size) {
    Call& call = *calls_.emplace_back(std::make_unique<Call>(run_, size));
    absl::Status why;
    call.MakePlan().started = run_.io->loop->clock().Now();
    call.taken = true;  // it may have ended when this returns
    if (link_->TryStart(call, &why) != CallLink::StartResult::kStarted) {
      EXPECT_EQ(call.ends, 0);
      call.taken = false;
    }
  }
  // Reads and writes, as there is something and room.
  void Follow(const std::shared_ptr<ClientStreamCall>& stream) {
    if (ServerStreams(stream->method.kind)) Read(stream);
    if (!ClientStreams(stream->method.kind)) return;
    while (!stream->ended()) {
      if (stream->TryWrite(MessageOf(60'000), /*last=*/false) != StreamSent::kSent) break;
    }
    (void)stream->Wait(StreamPort::For::kRoom, [this] { run_.Step(); });
  }
  void Read(const std::shared_ptr<ClientStreamCall>& stream) {
    Hello message;
    StreamRead read;
    while ((read = stream->TryRead(&message)) == StreamRead::kMessage) {
    }
    if (read == StreamRead::kEnd) return;
    (void)stream->Wait(StreamPort::For::kMessages, [this, stream] {
      run_.Step();
      Read(stream);
    });
  }

  Played& run_;
  Sink& sink_;
  const Auth auth_;
  std::shared_ptr<NativeLink> link_;
  const Hello empty_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<std::shared_ptr<ClientStreamCall>> streams_;
  bool up_ = false;
  bool ended_ = false;
};

std::string Bytes(size_t size) { return MessageOf(size).SerializeAsString(); }

// Everything that a peer may say, in one order.
std::string Script() {
  const std::string get = "walk.Service/Get", none;
  std::string s =
      raw::Opening({.features = 0x13, .stream_window = 100'000, .connection_window = 300'000});
  s += raw::Ping(1);
  // Its calls.
  s += raw::Request({.id = 1, .number = 1, .name = get, .message = Bytes(10)});
  // 52 bytes with the field's tag and length.
  s += raw::Request(
      {.id = 2, .number = 1, .name = none, .message = Bytes(50).substr(0, 20), .more = 52});
  s += raw::Request({.id = 3, .name = "walk.Service/Add", .opens = true});
  s += raw::Request({.id = 4, .name = "walk.Service/List", .message = Bytes(10)});
  s += raw::Request({.id = 5, .name = "walk.Service/Talk", .opens = true});
  s += raw::Request({.id = 6, .number = 1, .name = none, .message = Bytes(10)});
  s += raw::Request({.id = 7, .number = 1, .name = none, .message = "x", .more = 1'000});
  s += raw::Request({.id = 8, .number = 1, .name = none, .message = "x", .more = 1'000});
  s += raw::Request({.id = 9, .name = "no.Such/Method"});
  s += raw::Message(3, false, Bytes(10)) + raw::Message(5, false, Bytes(10));
  s += raw::Data(2, false, true, Bytes(50).substr(20, 10));
  s += raw::MessageBegin(3, false, 2'003, Bytes(2'000).substr(0, 500));
  s += raw::Data(2, false, false, Bytes(50).substr(30));
  s += raw::Data(3, false, false, Bytes(2'000).substr(500));
  s += raw::HalfClose(3, false) + raw::Window(5, false, 100) + raw::Window(0, false, 100);
  s += raw::Cancel(6) + raw::Cancel(7) + raw::Cancel(5);
  // Replies to this side's calls.
  s += raw::Headers(4, raw::Pair("k", "v"));
  s += raw::Reply(1, Bytes(10)) + raw::Reply(4, Bytes(10)) + raw::Error(3, 5, "none");
  s += raw::ReplyBegin(2, 103, Bytes(100).substr(0, 30));
  s += raw::Message(6, true, Bytes(10)) + raw::Window(5, true, 1'000'000);
  s += raw::Window(7, true, 1'000'000) + raw::Window(0, false, 1'000'000);
  s += raw::Data(2, true, false, std::string(73, 'x'));
  s += raw::MessageBegin(7, true, 2'003, Bytes(2'000).substr(0, 500));
  s += raw::Data(7, true, false, Bytes(2'000).substr(500));
  s += raw::Message(6, true, Bytes(10), /*last=*/true);
  s += raw::Reply(1, Bytes(10));  // late
  s += raw::Reply(5, Bytes(10)) + raw::Reply(6, "") + raw::Error(7, 9, "no");
  s += raw::GoAwayAck() + raw::GoAwayAck();
  s += raw::GoAwayAnnounced("bye");
  s += raw::GoAway(8, "bye");  // does not count 9
  s += raw::Reply(8, Bytes(10)) + raw::Ping(2);
  s += raw::Pong(1);
  return s;
}

// Plays the same script again and again, and ends the session in another of its callbacks each
// time. By the parameters: the side that dials or accepts, how it is ended, and when the verdict
// comes.
class SessionEnd : public ::testing::TestWithParam<std::tuple<bool, How, Auth>> {
 protected:
  SessionEnd() {
    EventLoopOptions options;
    options.spin = Nanos::zero();
    group_ = *LoopGroup::Create(1, options);
  }
  void OnLoop(const std::function<void()>& closure) {
    Notification done;
    group_->At(0).loop->Post([&](TaskFate) {
      closure();
      done.Notify();
    });
    ASSERT_TRUE(done.Wait());
  }
  // Ends it in callback number `at`; says how many there were.
  int Play(int at, size_t piece) {
    Played run;
    std::tie(std::ignore, run.how, std::ignore) = GetParam();
    run.at = at;
    run.stream.next_read = [piece] { return piece; };
    run.io = &group_->At(0);
    run.stream.input = Script();
    Sink sink(run);
    Host host(run, sink, std::get<2>(GetParam()));
    const auto pool = std::make_shared<CallPool>(nullptr);
    std::unique_ptr<NativeSession> session;
    OnLoop([&]() WEFT_NO_THREAD_ANALYSIS {
      NativeSessionOptions options;
      options.dialer = std::get<0>(GetParam());
      options.hello_after_verdict = std::get<2>(GetParam()) == Auth::kBeforeHello;
      SessionLimits limits;
      limits.heartbeat_interval = absl::ZeroDuration();
      options.limits = std::make_shared<const SessionLimits>(limits);
      session = std::make_unique<NativeSession>(*run.io, host, &sink, pool,
                                                std::make_unique<FedTransport>(run.stream), "walk",
                                                std::move(options));
      run.session = session.get();
      EXPECT_TRUE(session->Start().ok());
    });
    EXPECT_TRUE(host.ended.Wait()) << "it never ended";
    OnLoop([] {});  // what was posted is over then
    OnLoop([&]() WEFT_NO_THREAD_ANALYSIS {
      session.reset();
      host.CheckCalls();
    });
    OnLoop([&]() WEFT_NO_THREAD_ANALYSIS {
      pool->Close();
      EXPECT_EQ(pool->out(), 0u) << "a call of the peer was not answered";
    });
    return run.callbacks;
  }

  std::unique_ptr<LoopGroup> group_;
};

TEST_P(SessionEnd, InEachCallbackIsOneEndOfItAndOfEachCall) {
  // All of the script in one read, then in reads that cut its frames anywhere.
  for (const size_t piece : {size_t{1} << 20, size_t{333}}) {
    int most = 0;
    for (int at = 1;; ++at) {
      SCOPED_TRACE(::testing::Message() << "callback " << at << ", pieces of " << piece);
      const int callbacks = Play(at, piece);
      most = std::max(most, callbacks);
      if (callbacks < at || HasFailure()) break;
    }
    EXPECT_GT(most, 25) << "the script has gone to little";
  }
}

std::string NameOf(const ::testing::TestParamInfo<std::tuple<bool, How, Auth>>& way) {
  const char* const how[] = {"Close", "CloseWhenWritten", "Break", "GoAway"};
  const char* const auth[] = {"AtOnce", "Later", "BeforeHello"};
  return std::string(std::get<0>(way.param) ? "Dialer" : "Acceptor") +
         how[static_cast<size_t>(std::get<1>(way.param))] +
         auth[static_cast<size_t>(std::get<2>(way.param))];
}

INSTANTIATE_TEST_SUITE_P(Ways, SessionEnd,
                         ::testing::Combine(::testing::Bool(),
                                            ::testing::Values(How::kClose, How::kCloseWhenWritten,
                                                              How::kBreak, How::kGoAway),
                                            ::testing::Values(Auth::kAtOnce, Auth::kLater,
                                                              Auth::kBeforeHello)),
                         NameOf);

}  // namespace
}  // namespace weft::internal::native
