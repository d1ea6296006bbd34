#include "tests/support/line_protocol.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "weft/core/connection.h"
#include "weft/core/mutex.h"
#include "weft/core/timer.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft::test {

using namespace internal;

namespace {

constexpr std::string_view kOpening = "LINE ";

// Words of a line end at a blank and lines at \n: bytes that may hold either go as hex.
std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }
std::string Text(const absl::Status& status) { return Hex(std::string(status.message())); }

class LineSession;

// The face for other threads.
class LineLink final : public ConnectionHandle,
                       public CallLink,
                       public CallOrigin,
                       public ConnectionGauge {
 public:
  LineLink(IoThread& io, std::unique_ptr<Transport> transport, std::string peer)
      : ConnectionHandle(io.loop, std::move(transport), std::move(peer)), wheel_(*io.wheel) {}

  void Write(const std::string& line) {
    bool claimed;
    {
      MutexLock lock(output().mutex());
      if (output().closed()) return;
      char* const room = output().Reserve(line.size() + 1);
      std::memcpy(room, line.data(), line.size());
      room[line.size()] = '\n';
      output().Commit(line.size() + 1);
      claimed = output().Claim();
    }
    // Flushing takes the mutex by itself.
    if (claimed) FlushNow();
  }

  // CallLink
  EventLoop& loop() const override { return ConnectionHandle::loop(); }
  void StopStarting() override {
    MutexLock lock(mu_);
    open_ = false;
  }
  StartResult TryStart(OutboundCall& call, absl::Status* why) override;
  void CancelCall(uint64_t id) override;

  ConnectedPeer connected_peer() const override {
    return {.address = peer(), .identity = identity_, .protocol = "line"};
  }

  // CallOrigin
  void SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage* reply,
                  bool) override {
    const uint64_t id = call.id.load(std::memory_order_relaxed);
    Write(absl::StrCat("REPLY ", id, " ", static_cast<int>(status.code()), " ",
                       status.ok() ? Hex(reply->message().SerializeAsString()) : Text(status)));
  }
  void OnCallReturned(InboundCall& call) override;
  void WatchDeadline(InboundCall& call) override {
    loop().Post([self = shared_from_this(), this, &call](TaskFate) {
      // The answer may have been given before this task ran.
      if (!call.has_answer()) wheel_.Insert(&call, call.deadline);
    });
  }
  const std::string& peer() const override { return ConnectionHandle::peer(); }
  const std::string& identity() const override { return identity_; }

  // ConnectionGauge
  ConnectionVolume Volume() override {
    MutexLock lock(mu_);
    return {0, 0, calls_.size() + taken_ - returned_, next_id_ - 1 + taken_};
  }

  // ---- for the session
  void Attach(LineSession* session) WEFT_LOOP_ONLY { session_ = session; }
  LineSession* session() const WEFT_LOOP_ONLY { return session_; }
  void Open(std::string identity) {
    identity_ = std::move(identity);
    MutexLock lock(mu_);
    open_ = true;
  }
  OutboundCall* Take(uint64_t id) WEFT_LOOP_ONLY {
    OutboundCall* call;
    {
      MutexLock lock(mu_);
      const auto it = calls_.find(id);
      if (it == calls_.end()) return nullptr;
      call = it->second;
      calls_.erase(it);
    }
    // Only the loop may touch the wheel.
    wheel_.Remove(call);
    return call;
  }
  uint64_t AnyCall() {
    MutexLock lock(mu_);
    return calls_.empty() ? 0 : calls_.begin()->first;
  }
  size_t calls_under_way() {
    MutexLock lock(mu_);
    return calls_.size();
  }
  void CountTaken() {
    MutexLock lock(mu_);
    ++taken_;
  }

 private:
  DeadlineWheel& wheel_;
  std::string identity_;
  LineSession* session_ WEFT_LOOP_OWNED = nullptr;
  Mutex mu_;
  bool open_ WEFT_GUARDED_BY(mu_) = false;
  uint64_t next_id_ WEFT_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, OutboundCall*> calls_ WEFT_GUARDED_BY(mu_);
  uint64_t taken_ WEFT_GUARDED_BY(mu_) = 0, returned_ WEFT_GUARDED_BY(mu_) = 0;
};

// One connection of the protocol of lines, at either end: a first line each way, then a line for
// each call and each answer. Made and destroyed by its session's host, on its loop.
class LineSession final : public Session, private ConnectionOwner, public DeadlineTarget {
 public:
  LineSession(SessionSeed seed, const SessionContext& context, bool dialer)
      : io_(context.io),
        loop_(*context.io.loop),
        host_(context.host),
        sink_(context.sink),
        pool_(context.pool),
        dialer_(dialer),
        token_(std::move(seed.own.token)),
        limit_(seed.handshake_left),
        link_(std::make_shared<LineLink>(io_, std::move(seed.transport), std::move(seed.peer))),
        connection_(loop_, *io_.arena, link_, this),
        timer_(loop_, [this] {
          loop_.AssertInLoop();
          Fail(CloseReason::kHandshakeTimeout, "no answer to its first line");
        }) {
    loop_.AssertInLoop();
    link_->Attach(this);
  }
  ~LineSession() override { loop_.AssertInLoop(); }

  // Session
  absl::Status Start(SessionStart start) override {
    if (absl::Status s = connection_.Start(std::move(start.watch)); !s.ok()) {
      Close(CloseReason::kBroken, s);
      return s;
    }
    timer_.StartAfter(limit_);
    // The listener's first line is its verdict, so it must hear this one first.
    if (dialer_) link_->Write(absl::StrCat("LINE ", Hex(token_)));
    connection_.Take(start.first_bytes);
    return absl::OkStatus();
  }
  void GoAway(const absl::Status& why) override {
    told_to_leave_ = true;
    link_->StopStarting();
    link_->Write("BYE " + Text(why));
  }
  void CloseWhenWritten(CloseReason reason, const absl::Status& why, Nanos limit) override {
    Decide(reason, why);
    connection_.CloseAfterFlush(why_, limit);
  }
  void Close(CloseReason reason, const absl::Status& why) override {
    Decide(reason, why);
    connection_.Close(why_);
  }
  void CancelInbound() override {
    for (InboundCall* call : Inbound()) call->MarkStopped();
  }
  size_t inbound_calls() const override { return inbound_.size(); }
  const std::string& peer() const override { return link_->peer(); }
  const TransportIdentity& peer_identity() const override {
    return link_->output().transport().identity();
  }
  std::shared_ptr<ConnectionGauge> gauge() const override { return link_; }
  std::shared_ptr<CallLink> link() const override { return link_; }

  // DeadlineTarget
  void OnCallDeadline(OutboundCall& call) override {
    loop_.AssertInLoop();
    End(call.wire().id, absl::DeadlineExceededError("no reply in time"));
  }

  void End(uint64_t id, absl::Status why) WEFT_LOOP_ONLY {
    OutboundCall* const call = link_->Take(id);
    if (call == nullptr) return;
    link_->Write(absl::StrCat("CANCEL ", id));
    CallEnd end;
    end.status = Annotate(why, absl::StrCat("call ", std::string(call->method.full_name)));
    call->End(end);
    TellIfIdle();
  }
  void OnCallReturned(InboundCall& call) WEFT_LOOP_ONLY {
    io_.wheel->Remove(&call);
    inbound_.erase(call.id.load(std::memory_order_relaxed));
    TellIfIdle();
  }
  // A call that another thread started.
  void Arm(uint64_t id, OutboundCall& call) WEFT_LOOP_ONLY {
    call.wire().id = id;
    call.wire().deadline_target = this;
    if (call.plan().deadline != kNever) io_.wheel->Insert(&call, call.plan().deadline);
  }

 private:
  // ConnectionOwner
  void OnDirect(size_t) override {}
  size_t OnBytes(const BlockRef& block, const char* data, size_t size, InputNeed*) override {
    loop_.AssertInLoop();
    if (pool_ != nullptr) pool_->Collect();
    size_t used = 0;
    while (!ending_) {
      const void* const end = std::memchr(data + used, '\n', size - used);
      if (end == nullptr) break;
      const std::string line(data + used, static_cast<const char*>(end));
      used += line.size() + 1;
      TakeLine(absl::StrSplit(line, ' '));
    }
    // Lines are copied: no block has to stay.
    (void)block;
    // After the end all bytes count as used: nobody will take the rest.
    return ending_ ? size : used;
  }
  void OnReadEnd() override {}
  void OnClosed(const absl::Status& reason, size_t) override {
    loop_.AssertInLoop();
    if (!ending_) {
      Decide(reason.ok() ? CloseReason::kPeerClosed : CloseReason::kBroken,
             absl::UnavailableError(reason.ok() ? "the peer closed the connection"
                                                : std::string(reason.message())));
    }
    timer_.Stop();
    // One at a time, and without the mutex: the end of a call may cancel others.
    while (const uint64_t id = link_->AnyCall()) {
      CallEnd end;
      end.status = why_;
      link_->Take(id)->End(end);
    }
    for (InboundCall* call : Inbound()) call->MarkCancelled();
    if (sink_ != nullptr) sink_->OnAllCancelled(*link_);
    link_->Attach(nullptr);
    host_.OnEnded(*this, reason_, why_);
  }

  void TakeLine(const std::vector<std::string>& words) WEFT_LOOP_ONLY {
    uint64_t id = 0;
    if (words.size() > 1) (void)absl::SimpleAtoi(words[1], &id);
    const std::string& verb = words[0];
    if (verb == "LINE" && words.size() == 2 && !dialer_ && !up_) {
      host_.Authenticate(*this, absl::HexStringToBytes(words[1]), VerdictFor(link_));
    } else if (verb == "WELCOME" && dialer_ && !up_) {
      ComeUp("");
    } else if (verb == "REFUSED" && words.size() == 2 && dialer_) {
      Close(CloseReason::kGoAway, absl::UnauthenticatedError(absl::HexStringToBytes(words[1])));
    } else if (verb == "CALL" && words.size() == 5 && up_) {
      TakeCall(id, words[2], words[3], absl::HexStringToBytes(words[4]));
    } else if (verb == "REPLY" && words.size() == 4) {
      TakeReply(id, words[2], absl::HexStringToBytes(words[3]));
    } else if (verb == "CANCEL" && words.size() == 2) {
      if (const auto it = inbound_.find(id); it != inbound_.end()) {
        it->second->MarkCancelled();
        sink_->OnCancelled(*it->second);
      }
    } else if (verb == "BYE" && words.size() == 2) {
      link_->StopStarting();
      link_->Write("HEARD");
      leaves_ = true;
      host_.OnGoingAway(*this, absl::UnavailableError(absl::HexStringToBytes(words[1])));
      TellIfIdle();
    } else if (verb == "HEARD") {
      host_.OnGoAwayConfirmed(*this);
    } else {
      Fail(CloseReason::kBadFrame, absl::StrCat("a line that begins with \"", verb, "\""));
    }
  }
  static SessionHost::Verdict VerdictFor(const std::shared_ptr<LineLink>& link);
  void TakeVerdict(absl::StatusOr<std::string> identity) WEFT_LOOP_ONLY {
    if (!identity.ok()) {
      link_->Write("REFUSED " + Text(identity.status()));
      CloseWhenWritten(CloseReason::kUnauthenticated,
                       absl::UnavailableError(identity.status().message()), kLastWords);
      return;
    }
    link_->Write("WELCOME");
    ComeUp(*std::move(identity));
  }
  void ComeUp(std::string identity) WEFT_LOOP_ONLY {
    timer_.Stop();
    up_ = true;
    link_->Open(std::move(identity));
    host_.OnUp(*this);
  }
  void TakeCall(uint64_t id, const std::string& method, const std::string& micros,
                const std::string& request) WEFT_LOOP_ONLY {
    const BoundMethod* const bound = sink_ != nullptr ? sink_->Find(method) : nullptr;
    if (bound == nullptr || bound->method->info->kind != MethodKind::kUnary) {
      const absl::Status why = sink_ != nullptr && bound == nullptr
                                   ? sink_->Unknown(method)
                                   : absl::UnimplementedError("not over lines");
      link_->Write(absl::StrCat("REPLY ", id, " ", static_cast<int>(why.code()), " ", Text(why)));
      return;
    }
    InboundCall& call = pool_->Take();
    inbound_[id] = &call;
    link_->CountTaken();
    call.id.store(id, std::memory_order_relaxed);
    call.origin = std::shared_ptr<CallOrigin>(link_, static_cast<CallOrigin*>(link_.get()));
    call.bound = bound;
    call.clock = &loop_.clock();
    call.received = loop_.now();
    uint64_t left = 0;
    if (absl::SimpleAtoi(micros, &left) && left > 0) {
      call.deadline = SaturatingAdd(call.received, std::chrono::microseconds(left));
    }
    const BlockRef block = BlockRef::New(std::max<size_t>(request.size(), 1));
    std::memcpy(block->data(), request.data(), request.size());
    call.SetRequest(block, block->data(), request.size());
    sink_->OnCall(call);
  }
  void TakeReply(uint64_t id, const std::string& code, const std::string& text) WEFT_LOOP_ONLY {
    OutboundCall* const call = link_->Take(id);
    if (call == nullptr) {
      host_.CountLateReply();
      return;
    }
    int number = 0;
    CallEnd end;
    if (absl::SimpleAtoi(code, &number) && number == 0) {
      end.reply = text.data();
      end.reply_size = text.size();
    } else {
      end.status = absl::Status(static_cast<absl::StatusCode>(number), text);
    }
    call->End(end);
    TellIfIdle();
  }
  void TellIfIdle() WEFT_LOOP_ONLY {
    if (ending_ || !inbound_.empty()) return;
    if (told_to_leave_) host_.OnInboundCallsEnded(*this);
    // `ending_` again: the host may have closed the session in the line above.
    if (leaves_ && !ending_ && link_->calls_under_way() == 0) host_.OnLastCallEnded(*this);
  }
  void Fail(CloseReason reason, const std::string& what) WEFT_LOOP_ONLY {
    Close(reason, absl::UnavailableError(what));
  }
  void Decide(CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY {
    // The first reason counts; later ones are its consequences.
    if (std::exchange(ending_, true)) return;
    reason_ = reason;
    why_ = why;
    link_->StopStarting();
  }
  std::vector<InboundCall*> Inbound() const WEFT_LOOP_ONLY {
    // A copy: what is done to a call may take it out of the map.
    std::vector<InboundCall*> calls;
    for (const auto& [id, call] : inbound_) calls.push_back(call);
    return calls;
  }

  IoThread& io_;
  EventLoop& loop_;
  SessionHost& host_;
  InboundSink* const sink_;
  const std::shared_ptr<CallPool> pool_;
  const bool dialer_;
  const std::string token_;
  const Nanos limit_;
  const std::shared_ptr<LineLink> link_;
  Connection connection_ WEFT_LOOP_OWNED;
  Timer timer_ WEFT_LOOP_OWNED;
  std::map<uint64_t, InboundCall*> inbound_ WEFT_LOOP_OWNED;
  bool up_ WEFT_LOOP_OWNED = false;
  bool leaves_ WEFT_LOOP_OWNED = false;         // the peer takes no more calls
  bool told_to_leave_ WEFT_LOOP_OWNED = false;  // GoAway was called
  bool ending_ WEFT_LOOP_OWNED = false;         // reason_ and why_ say why
  CloseReason reason_ WEFT_LOOP_OWNED = CloseReason::kPeerClosed;
  absl::Status why_ WEFT_LOOP_OWNED;
};

CallLink::StartResult LineLink::TryStart(OutboundCall& call, absl::Status* why) {
  if (call.stream != nullptr) {
    *why = absl::UnimplementedError("no streams over lines");
    return StartResult::kRefused;
  }
  const std::string request = call.request.form() == OutgoingRequest::Form::kMessage
                                  ? call.request.message().SerializeAsString()
                                  : std::string(call.request.bytes());
  const Nanos left =
      call.plan().deadline == kNever ? Nanos::zero() : call.plan().deadline - call.plan().started;
  uint64_t id;
  {
    MutexLock lock(mu_);
    // Under the mutex that StopStarting takes: no call starts behind it.
    if (!open_) return StartResult::kGone;
    id = next_id_++;
    calls_.emplace(id, &call);
    call.SetInFlight();
    call.wire().sent = call.plan().started;
    if (call.wants_handle()) {
      call.Started(CallHandle(
          std::shared_ptr<CallCanceller>(shared_from_this(), static_cast<CallCanceller*>(this)),
          id));
    }
  }
  const std::string line = absl::StrCat("CALL ", id, " ", std::string(call.method.full_name), " ",
                                        left.count() / 1000, " ", Hex(request));
  // Written by the loop, once the call's deadline is set: only the loop ends calls.
  loop().Post([self = shared_from_this(), this, id, line](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop().AssertInLoop();
    OutboundCall* started = nullptr;
    {
      MutexLock lock(mu_);
      const auto it = calls_.find(id);
      if (it != calls_.end()) started = it->second;
    }
    if (started == nullptr || session_ == nullptr) return;
    session_->Arm(id, *started);
    Write(line);
  });
  return StartResult::kStarted;
}

void LineLink::CancelCall(uint64_t id) {
  loop().Post([self = shared_from_this(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop().AssertInLoop();
    if (session_ != nullptr) session_->End(id, absl::CancelledError("cancelled by the caller"));
  });
}

void LineLink::OnCallReturned(InboundCall& call) {
  loop().AssertInLoop();
  {
    MutexLock lock(mu_);
    ++returned_;
  }
  if (session_ != nullptr) session_->OnCallReturned(call);
}

SessionHost::Verdict LineSession::VerdictFor(const std::shared_ptr<LineLink>& link) {
  // Holds the link and not the session: an authenticator may answer on any thread, after the
  // session's end.
  return [link](absl::StatusOr<std::string> identity) {
    link->loop().Post([link, identity = std::move(identity)](TaskFate fate) mutable {
      if (fate == TaskFate::kCancelled) return;
      link->loop().AssertInLoop();
      LineSession* const session = link->session();
      if (session != nullptr && !session->ending_) session->TakeVerdict(std::move(identity));
    });
  };
}

Match MatchLine(std::string_view first) {
  const size_t have = std::min(first.size(), kOpening.size());
  if (first.substr(0, have) != kOpening.substr(0, have)) return Match::kNo;
  return have < kOpening.size() ? Match::kNeedMore : Match::kYes;
}

}  // namespace

const Protocol kLineProtocol = {
    .name = "line",
    .alpn = "line/1",
    .match = &MatchLine,
    .accept = [](SessionSeed seed, const SessionContext& context) -> std::unique_ptr<Session> {
      return std::make_unique<LineSession>(std::move(seed), context, /*dialer=*/false);
    },
    .dial = [](SessionSeed seed, const SessionContext& context) -> std::unique_ptr<Session> {
      return std::make_unique<LineSession>(std::move(seed), context, /*dialer=*/true);
    },
};

}  // namespace weft::test
