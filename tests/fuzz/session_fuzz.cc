// A whole native session: what a peer sends, in whatever pieces it comes, on either side of the
// connection.
//
//   input:  how u8 | seed u8 | bytes …
//           how: 1 this side dials (and has calls of all kinds under way), 2 the bytes stand behind
//           a good opening, 4 calls of the peer are answered later, 8 calls of this side are
//           cancelled; the rest: how large the pieces are
//
// The session ends exactly once, every call of this side too, and what it writes are frames.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_loop.h"
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

constexpr int kDials = 1, kOpened = 2, kAnswersLater = 4, kCancels = 8;

using fuzz::Check;

// The state of one run. Only the loop touches it.
struct Run {
  int how = 0;
  uint32_t random = 0;
  bool pair = false;  // of nodes; its Hello waits for the verdict
  FedStream stream;
  IoThread* io = nullptr;
  std::shared_ptr<NativeLink> link;
  uint64_t next_cancel = 1;
  std::function<void()> step;  // what streams do between two reads

  uint32_t Random() { return random = random * 1'664'525u + 1'013'904'223u; }
  // Cancels a call, or moves a stream on, between two reads.
  void BeforeRead() {
    if ((how & kCancels) != 0 && link != nullptr && Random() % 4 == 0) {
      link->CancelCall(next_cancel++);
    }
    if (step && Random() % 2 == 0) io->loop->Post([s = step](TaskFate) { s(); });
  }
};

// There is a method of each kind. The peer names it in full, or by one letter.
constexpr MethodInfo kMethods[] = {
    {"fuzz.Service", "Method", "fuzz.Service/Method"},
    {"fuzz.Service", "Add", "fuzz.Service/Add", MethodKind::kClientStreaming},
    {"fuzz.Service", "List", "fuzz.Service/List", MethodKind::kServerStreaming},
    {"fuzz.Service", "Talk", "fuzz.Service/Talk", MethodKind::kBidirectional},
};
constexpr const MethodInfo& kMethod = kMethods[0];

// Reads the messages that are there, and writes a small one or a large one.
void UseStream(Run& run, StreamPort& port, MethodKind kind, bool is_client) {
  Hello message;
  if (is_client ? ServerStreams(kind) : ClientStreams(kind)) {
    while (port.TryRead(&message) == StreamRead::kMessage) {
    }
  }
  if (!(is_client ? ClientStreams(kind) : ServerStreams(kind))) return;
  message.set_auth_token(std::string(run.Random() % 3 == 0 ? 50'000 : 50, 't'));
  (void)port.TryWrite(message, /*last=*/is_client && run.Random() % 8 == 0);
}

// A tiny service: its request and reply are Hellos.
class FuzzSink final : public InboundSink {
 public:
  explicit FuzzSink(Run& run) : run_(run) {
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
    if (name.size() != 1) return nullptr;
    return &bound_[name == "a" ? 1 : name == "l" ? 2 : name == "t" ? 3 : 0];
  }
  absl::Status Unknown(std::string_view) override { return absl::UnimplementedError("no"); }
  void OnCall(InboundCall& call) override {
    held_.push_back(&call);
    SayFirst(call);
    const bool waits = (run_.how & kAnswersLater) != 0 || call.stream != nullptr;
    if (!waits || held_.size() > 3) AnswerAll();
  }
  // For some calls metadata goes ahead of their messages and their answer.
  static void SayFirst(InboundCall& call) {
    const uint64_t id = call.id.load(std::memory_order_relaxed);
    if (id % 2 == 0) (void)call.context().initial_metadata().Add("k", std::string(id % 256, 'v'));
    if (id % 4 == 0) (void)call.context().SendInitialMetadata();
  }
  void UseStreams() {
    for (InboundCall* call : held_) {
      if (call->stream != nullptr) {
        UseStream(run_, *call->stream, call->bound->method->info->kind, /*is_client=*/false);
      }
    }
  }
  void AnswerAll() {
    for (InboundCall* call : std::exchange(held_, {})) {
      if (absl::Status s = call->ParseMetadata(); !s.ok()) {
        call->Refuse(s);
        continue;
      }
      const MethodKind kind = call->bound->method->info->kind;
      auto message = std::make_shared<Hello>();
      if (!ClientStreams(kind) && !call->Parse(*message)) continue;
      if (call->stream != nullptr) UseStream(run_, *call->stream, kind, /*is_client=*/false);
      KeptReply reply(message);
      call->Answer(absl::OkStatus(), ServerStreams(kind) ? nullptr : &reply);
    }
  }

 private:
  Run& run_;
  ServiceMethod methods_[std::size(kMethods)];
  MethodStats stats_{"fuzz.Service/Method"};
  BoundMethod bound_[std::size(kMethods)];
  std::vector<InboundCall*> held_;
};

class FuzzCall final : public OutboundCall {
 public:
  explicit FuzzCall(const google::protobuf::MessageLite& message)
      : OutboundCall(kMethod, message, CallOptions()) {}
  void Complete(const CallEnd& end) override {
    ++ends;
    if (end.status.ok() && end.reply_size > 0) {
      Hello reply;
      (void)reply.ParseFromArray(end.reply, static_cast<int>(end.reply_size));
    }
    Metadata trailers;
    (void)trailers.ReadFrom(end.trailers);
  }
  bool taken = false;  // the link has taken it
  int ends = 0;
};

// A host that starts a few calls of each kind when the session dials. It demands that each call
// ends once, at the latest with the session.
class FuzzHost final : public SessionHost {
 public:
  FuzzHost(Run& run, FuzzSink& sink) : run_(run), sink_(sink) {
    for (int i = 0; i < 4; ++i) calls_.push_back(std::make_unique<FuzzCall>(request_));
    run_.step = [this] {
      sink_.UseStreams();
      for (const auto& call : streams_) {
        UseStream(run_, *call, call->method.kind, /*is_client=*/true);
      }
    };
  }
  void OnUp(Session& session) override {
    Check(!up_ && !ended_);
    up_ = true;
    run_.io->loop->AssertInLoop();
    // The answer of the probe must not come when the session has ended.
    session.Probe([this] { Check(!ended_); });
    if ((run_.how & kDials) == 0) return;
    run_.link = static_cast<NativeSession&>(session).native_link();
    for (const auto& call : calls_) {
      absl::Status why;
      call->taken = run_.link->TryStart(*call, &why) == CallLink::StartResult::kStarted;
    }
    test::LinkCaller caller(run_.link, run_.io->loop);
    for (size_t i = 1; i < std::size(kMethods); ++i) {
      const bool one_reply = kMethods[i].kind == MethodKind::kClientStreaming;
      streams_.push_back(ClientStreamCall::Launch(caller, kMethods[i], request_,
                                                  one_reply ? std::make_unique<Hello>() : nullptr,
                                                  CallOptions()));
    }
  }
  void OnGoingAway(Session&, const absl::Status&) override {}
  void OnEnded(Session&, CloseReason, const absl::Status&) override {
    Check(!ended_);
    ended_ = true;
    sink_.AnswerAll();
    // The link must not end a call that it did not take.
    for (const auto& call : calls_) Check(call->ends == (call->taken ? 1 : 0));
    for (const auto& call : streams_) {
      call->TellEnd([this](absl::Status) { ++stream_ends_; });
    }
    ended.Notify();
  }
  // To be called when everything is over: each stream has ended.
  void CheckStreams() { Check(stream_ends_ == streams_.size()); }
  void Authenticate(Session&, std::string_view token, Verdict verdict) override {
    if (token == "no") {
      verdict(absl::UnauthenticatedError("no"));
    } else if (token == "later") {
      run_.io->loop->Post([verdict = std::move(verdict)](TaskFate) { verdict(std::string()); });
    } else {
      verdict(std::string());
    }
  }
  void CountLateReply() override {}

  Notification ended;

 private:
  Run& run_;
  FuzzSink& sink_;
  Hello request_;
  std::vector<std::unique_ptr<FuzzCall>> calls_;
  std::vector<std::shared_ptr<ClientStreamCall>> streams_;
  size_t stream_ends_ = 0;
  bool up_ = false;
  bool ended_ = false;
};

// Checks that the output is the preface, followed by frames.
void CheckOutput(std::string_view output, bool opened) {
  if (output.empty()) return;
  Check(output.substr(0, 8) == raw::Preface());
  output.remove_prefix(8);
  while (output.size() >= kHeaderSize) {
    const FrameHeader header = ReadHeader(output.data());
    Check(FrameReader::CheckHeader(header, kLargestFrame) == FrameError::kNone);
    Check(!opened || header.length <= size_t{64} << 10);
    // A frame that was being written at the close is cut off.
    if (output.size() - kHeaderSize < header.length) return;
    output.remove_prefix(kHeaderSize + header.length);
  }
}

void RunOne(const uint8_t* data, size_t size) {
  Run run;
  run.how = data[0];
  run.random = data[1];
  run.pair = (run.random & 1) != 0;
  run.io = &fuzz::FuzzLoop();
  run.stream.before_read = [&run] { run.BeforeRead(); };
  run.stream.next_read = [&run] { return 1 + (run.Random() >> 8) % (size_t{1} << (run.how >> 4)); };
  const bool dials = (run.how & kDials) != 0;
  if ((run.how & kOpened) != 0) {
    run.stream.input = raw::Opening({.features = run.pair ? 0x51u : 0x11u,
                                     .stream_window = 4'096,
                                     .connection_window = 16'384});
  }
  run.stream.input.append(reinterpret_cast<const char*>(data + 2), size - 2);
  FuzzSink sink(run);
  FuzzHost host(run, sink);
  auto pool = std::make_shared<CallPool>(nullptr);
  std::unique_ptr<NativeSession> session;
  fuzz::RunOnLoop([&]() WEFT_NO_THREAD_ANALYSIS {
    NativeSessionOptions options;
    options.dialer = dials;
    options.pair = options.hello_after_verdict = run.pair;
    SessionLimits limits;
    limits.max_message_bytes = 1 << 20;
    limits.max_calls = 20;
    limits.max_methods = 20;
    limits.stream_window_bytes = 4'096;
    limits.connection_window_bytes = 16'384;
    limits.heartbeat_interval = absl::ZeroDuration();
    limits.handshake_timeout = absl::Hours(1);
    options.limits = std::make_shared<const SessionLimits>(limits);
    session = std::make_unique<NativeSession>(*run.io, host, &sink, pool,
                                              std::make_unique<FedTransport>(run.stream), "fuzz",
                                              std::move(options));
    Check(session->Start().ok());
  });
  Check(host.ended.Wait());
  run.link.reset();
  // A task runs after all that were posted before it, so the second one finds the session gone.
  fuzz::RunOnLoop([&]() WEFT_NO_THREAD_ANALYSIS { session.reset(); });
  fuzz::RunOnLoop([&]() WEFT_NO_THREAD_ANALYSIS {
    pool->Close();
    Check(pool->out() == 0);
    host.CheckStreams();
  });
  CheckOutput(run.stream.output, (run.how & kOpened) != 0);
}

}  // namespace
}  // namespace weft::internal::native

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  weft::internal::native::RunOne(data, size);
  return 0;
}
