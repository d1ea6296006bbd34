// Messages in pieces, whatever lies between the pieces, and however the bytes are cut into reads:
// each comes out as it was sent, once, and in order where it is a stream's.
//
//   input:  how u8 | seed u8 | (op u8 | size u16) …
//           how: 1 this side dials, and the messages are replies to it; the rest: how large reads
//           are
//           op, its low bits: 0 begin a message of 8 × size bytes, 1 its next piece, of size bytes,
//           2 a ping, 3 its next piece, of a few bytes; the next two bits: which of four messages
//           under way, of a server's the last one in a stream; 16 with an attachment
//
// The script makes frames that keep to the protocol; what breaks it is session_fuzz's.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/check.h"
#include "tests/fuzz/fuzz_loop.h"
#include "tests/support/fed_transport.h"
#include "tests/support/raw_frames.h"
#include "tests/support/watched.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/native/hello.pb.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::internal::native {
namespace {

using fuzz::Check;

constexpr int kDials = 1;
constexpr size_t kSlots = 4, kStreamSlot = 3;
constexpr uint64_t kStreamCall = 1;
// The calls of a dialer, and the bytes that one input may ask for.
constexpr size_t kCalls = 8, kMaxWire = 400 << 10, kMaxWireByByte = 4 << 10;
constexpr int kRequest = 0x01, kResponse = 0x02, kData = 0x03, kMessage = 0x0A;
constexpr int kEndFlag = 0x01, kMoreFlag = 0x02, kAttachmentFlag = 0x10, kNamedFlag = 0x40,
              kReplyFlag = 0x80;

constexpr MethodInfo kUnaryMethod = {"fuzz.Service", "Do", "fuzz.Service/Do"};
constexpr MethodInfo kStreamMethod = {"fuzz.Service", "Add", "fuzz.Service/Add",
                                      MethodKind::kClientStreaming};

// The contents of one message.
struct Sent {
  std::string token, attachment;
};

std::string Bytes(size_t size, uint32_t seed) {
  std::string bytes(size, '\0');
  // Neighbouring bytes differ, so that a piece at a wrong place is noticed.
  uint32_t random = seed * 2'654'435'761u + 1;
  for (char& c : bytes) {
    random = random * 1'664'525u + 1'013'904'223u;
    c = static_cast<char>(random >> 24);
  }
  return bytes;
}

// Makes the bytes of one direction out of a script, and knows what has to arrive.
class Script {
 public:
  Script(bool dials, uint32_t seed, size_t max_wire)
      : dials_(dials), seed_(seed), max_wire_(max_wire) {
    wire_ =
        raw::Opening({.features = 0x3F, .stream_window = 64 << 20, .connection_window = 64 << 20});
    if (!dials_) wire_ += raw::Request({.id = kStreamCall, .name = "s", .opens = true});
  }

  void Step(uint8_t op, uint16_t size) {
    const size_t slot = (op >> 2) % kSlots;
    switch (op % 4) {
      case 0:
        return Begin(slot, std::min(size_t{8} * size, max_wire_), (op & 16) != 0);
      case 1:
        return Continue(slot, size);
      case 2:
        wire_ += raw::Frame(0x06, 0, 0, size);
        return;
      default:
        return Continue(slot, size % 40 + 1);
    }
  }
  void Finish() {
    for (size_t slot = 0; slot < kSlots; ++slot) {
      while (under_way_[slot].left > 0) Continue(slot, UINT16_MAX);
    }
  }

  std::string& wire() { return wire_; }
  const std::map<uint64_t, Sent>& messages() const { return messages_; }
  const std::vector<Sent>& streamed() const { return streamed_; }

 private:
  struct UnderWay {
    uint64_t id = 0;
    std::string whole;
    size_t left = 0;
  };

  void Begin(size_t slot, size_t size, bool attached) {
    UnderWay& to = under_way_[slot];
    if (to.left > 0 || wire_.size() > max_wire_) return;
    const bool streamed = !dials_ && slot == kStreamSlot;
    if (dials_ && next_id_ > kCalls) return;
    to.id = streamed ? kStreamCall : next_id_++;
    Sent sent{Bytes(attached ? size / 3 : size, seed_ + ++made_), {}};
    if (attached) sent.attachment = Bytes(size - size / 3, seed_ + ++made_);
    // The message is a Hello, whose token may hold any bytes.
    Hello hello;
    hello.set_auth_token(sent.token);
    to.whole = hello.SerializeAsString() + sent.attachment;

    // Some messages are whole in their first frame; others only begin there.
    const size_t first = std::min(to.whole.size(), size_t{made_} * 977 % 60'000);
    to.left = to.whole.size() - first;
    int flags = streamed ? 0 : kEndFlag;
    std::string head;
    if (!streamed && dials_) head = raw::Number(uint32_t{0});
    if (!streamed && !dials_) {
      flags |= kNamedFlag;
      head = raw::Number(uint64_t{0}) + raw::Number(uint16_t{1}) + "d";
    }
    if (!sent.attachment.empty()) {
      flags |= kAttachmentFlag;
      head += raw::Number(static_cast<uint32_t>(sent.attachment.size()));
    }
    if (to.left > 0) {
      flags |= kMoreFlag;
      head += raw::Number(static_cast<uint32_t>(to.whole.size()));
    }
    const int type = streamed ? kMessage : dials_ ? kResponse : kRequest;
    wire_ += raw::Frame(type, flags, 0, to.id, head + to.whole.substr(0, first));
    streamed ? streamed_.push_back(std::move(sent))
             : (void)messages_.emplace(to.id, std::move(sent));
  }
  void Continue(size_t slot, size_t size) {
    UnderWay& of = under_way_[slot];
    const size_t n = std::min({of.left, size, size_t{64} << 10});
    if (n == 0) return;
    const std::string piece = of.whole.substr(of.whole.size() - of.left, n);
    of.left -= n;
    wire_ += raw::Frame(kData, (of.left > 0 ? kMoreFlag : 0) | (dials_ ? kReplyFlag : 0), 0, of.id,
                        piece);
  }

  const bool dials_;
  const uint32_t seed_;
  const size_t max_wire_;
  std::string wire_;
  std::array<UnderWay, kSlots> under_way_;
  // The number 1 is the stream's call, unless this side dials: its own calls begin with 1.
  uint64_t next_id_ = dials_ ? 1 : kStreamCall + 1;
  uint32_t made_ = 0;
  std::map<uint64_t, Sent> messages_;
  std::vector<Sent> streamed_;
};

bool Matches(const Sent& sent, const Hello& hello, const absl::Cord& attachment) {
  return hello.auth_token() == sent.token && attachment == sent.attachment;
}

// Compares requests, and the messages of the stream, with the script.
class CheckingSink final : public InboundSink {
 public:
  explicit CheckingSink(const Script& script) : script_(script) {
    methods_[0].info = &kUnaryMethod;
    methods_[1].info = &kStreamMethod;
    for (size_t i = 0; i < 2; ++i) {
      bound_[i].method = &methods_[i];
      bound_[i].stats = &stats_;
    }
  }
  const BoundMethod* Find(std::string_view name) override { return &bound_[name == "s" ? 1 : 0]; }
  absl::Status Unknown(std::string_view) override { return absl::UnimplementedError("no"); }
  void OnCall(InboundCall& call) override {
    if (call.stream != nullptr) {
      Check(stream_ == nullptr);
      stream_ = &call;
      return;
    }
    ++requests_;
    const auto sent = script_.messages().find(call.id.load(std::memory_order_relaxed));
    Check(sent != script_.messages().end());
    Hello hello;
    Check(call.Parse(hello));
    Check(Matches(sent->second, hello, call.attachment()));
    call.Answer(absl::OkStatus(), nullptr);
  }
  void ReadStream() {
    Hello hello;
    absl::Cord attachment;
    while (stream_ != nullptr &&
           stream_->stream->TryRead(&hello, &attachment) == StreamRead::kMessage) {
      Check(read_ < script_.streamed().size());
      Check(Matches(script_.streamed()[read_++], hello, attachment));
    }
  }
  void AtEnd() {
    Check(requests_ == script_.messages().size() && read_ == script_.streamed().size());
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->Answer(absl::OkStatus(), nullptr);
  }

 private:
  const Script& script_;
  ServiceMethod methods_[2];
  MethodStats stats_{"fuzz.Service/Do"};
  BoundMethod bound_[2];
  InboundCall* stream_ = nullptr;
  size_t requests_ = 0, read_ = 0;
};

// A call that compares its reply with the script.
class CheckingCall final : public OutboundCall {
 public:
  CheckingCall(const Script& script, uint64_t number, const google::protobuf::MessageLite& message)
      : OutboundCall(kUnaryMethod, message, CallOptions()), script_(script), id_(number) {}
  void Complete(const CallEnd& end) override {
    ++ends;
    const auto expected = script_.messages().find(id_);
    Check(end.status.ok() == (expected != script_.messages().end()));
    if (!end.status.ok()) return;
    Hello hello;
    absl::Cord attachment;
    if (end.whole_reply != nullptr) {
      Check(end.whole_reply->Parse({size_t{1} << 30, "server"}, &hello).ok());
      attachment = end.whole_reply->Attachment();
    } else {
      Check(hello.ParseFromArray(end.reply, static_cast<int>(end.reply_size)));
    }
    Check(Matches(expected->second, hello, attachment));
  }
  int ends = 0;

 private:
  const Script& script_;
  const uint64_t id_;
};

// A host whose peer keeps to the protocol. So the session ends only when the peer closes, and every
// call has its reply by then.
class CheckingHost final : public SessionHost {
 public:
  CheckingHost(bool dials, const Script& script, CheckingSink& sink)
      : dials_(dials), script_(script), sink_(sink) {}
  void OnUp(Session& session) override {
    if (!dials_) return;
    link_ = static_cast<NativeSession&>(session).native_link();
    for (uint64_t id = 1; id <= kCalls; ++id) {
      calls_.push_back(std::make_unique<CheckingCall>(script_, id, request_));
      absl::Status why;
      Check(link_->TryStart(*calls_.back(), &why) == CallLink::StartResult::kStarted);
    }
  }
  void OnGoingAway(Session&, const absl::Status&) override { Check(false); }
  void OnEnded(Session&, CloseReason reason, const absl::Status&) override {
    Check(reason == CloseReason::kPeerClosed);
    for (const auto& call : calls_) Check(call->ends == 1);
    if (!dials_) sink_.AtEnd();
    link_.reset();
    ended.Notify();
  }
  void Authenticate(Session&, std::string_view, Verdict verdict) override {
    verdict(std::string());
  }
  void CountLateReply() override { Check(false); }

  Notification ended;

 private:
  const bool dials_;
  const Script& script_;
  CheckingSink& sink_;
  Hello request_;
  std::shared_ptr<NativeLink> link_;
  std::vector<std::unique_ptr<CheckingCall>> calls_;
};

void RunOne(const uint8_t* data, size_t size) {
  const int how = data[0];
  uint32_t random = data[1];
  const bool dials = (how & kDials) != 0;
  const size_t largest = size_t{4} << (how >> 4);
  // Tiny reads of a long script would take too long for one input.
  Script script(dials, data[1], largest < 256 ? kMaxWireByByte : kMaxWire);
  for (size_t at = 2; at + 3 <= size; at += 3) {
    script.Step(data[at], static_cast<uint16_t>(data[at + 1] | data[at + 2] << 8));
  }
  script.Finish();

  FedStream stream;
  stream.input = std::move(script.wire());
  CheckingSink sink(script);
  stream.next_read = [&] {
    random = random * 1'664'525u + 1'013'904'223u;
    // Some reads bring only a few bytes, so that headers are cut.
    const size_t most = random >> 30 == 0 ? 20 : largest;
    return 1 + (random >> 8) % most;
  };
  IoThread& io = fuzz::FuzzLoop();
  // Read before the end of the bytes as well: messages that a stream has not read by then go with
  // its call.
  stream.before_read = [&] { sink.ReadStream(); };
  CheckingHost host(dials, script, sink);
  auto pool = std::make_shared<CallPool>(nullptr);
  std::unique_ptr<NativeSession> session;
  fuzz::RunOnLoop([&]() WEFT_NO_THREAD_ANALYSIS {
    NativeSessionOptions options;
    options.dialer = dials;
    SessionLimits limits;
    limits.stream_window_bytes = 64 << 20;
    limits.connection_window_bytes = 64 << 20;
    limits.heartbeat_interval = absl::ZeroDuration();
    limits.handshake_timeout = absl::Hours(1);
    options.limits = std::make_shared<const SessionLimits>(limits);
    session = std::make_unique<NativeSession>(
        io, host, &sink, pool, std::make_unique<FedTransport>(stream), "fuzz", std::move(options));
    Check(session->Start().ok());
  });
  Check(host.ended.Wait());
  fuzz::RunOnLoop([&]() WEFT_NO_THREAD_ANALYSIS { session.reset(); });
  fuzz::RunOnLoop([&]() WEFT_NO_THREAD_ANALYSIS {
    pool->Close();
    Check(pool->out() == 0);
  });
}

}  // namespace
}  // namespace weft::internal::native

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  weft::internal::native::RunOne(data, size);
  return 0;
}
