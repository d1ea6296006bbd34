// A call that the other side started: its request, and the one answer it gets.
//
//   taken from its loop's CallPool ─► filled by the session ─► queued, run by a worker or on the
//      loop ─► Answer, once, from any thread ─► back to the pool, which hands it out again only on
//      its loop
//
// Memory of a call is type-stable while its pool lives: a cancel that comes for a number finds
// either that call or, checked against `id`, another one, never freed memory.
//
// Threads  the loop's until handed over; then the handler's. Cancel, cancelled: any. Answer: any,
//          once
// Owns     its request's bytes until they are parsed, the messages of handlers that answer later
// Errors   Answer takes a Status; Parse answers INTERNAL by itself for bytes that are no request
// Ends     exactly one Answer; a call never answered is a bug of its handler, which Responder
//          excludes
#ifndef WEFT_RPC_CALL_INBOUND_CALL_H_
#define WEFT_RPC_CALL_INBOUND_CALL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "weft/core/block.h"
#include "weft/core/clock.h"
#include "weft/core/deadline_entry.h"
#include "weft/core/fork_guard.h"
#include "weft/core/work_item.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/caller_slot.h"
#include "weft/rpc/call/inbound_cancel.h"
#include "weft/rpc/call/inbound_metadata.h"
#include "weft/rpc/call/inbound_request.h"
#include "weft/rpc/call/initial_metadata.h"
#include "weft/rpc/call/interception.h"
#include "weft/rpc/call/message_cache.h"
#include "weft/rpc/call/server_context.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft {
class CallTarget;
class MethodStats;
class Service;
struct ServiceMethod;
}  // namespace weft

namespace weft::internal {

class CallPool;
class InboundCall;
class SerialQueue;
class StreamPort;
class WriteWaits;
struct CallingWay;

// The server's rules for a method's calls. Only the server knows what they are.
struct BoundRules {
 protected:
  ~BoundRules() = default;
};

// A method as a server offers it.
struct BoundMethod {
  const ServiceMethod* method = nullptr;
  Service* service = nullptr;
  MethodStats* stats = nullptr;
  BoundRules* rules = nullptr;  // null: nothing is to be seen to before it runs
  uint16_t handler_pool = 0;    // which of the server's pools runs it
  bool run_inline = false;
  bool serial = false;  // its calls have an order
  // The limits of its blocking writes; null: no limits.
  std::shared_ptr<const WriteWaits> write_waits = nullptr;
};

// A reply message, and how to keep it alive while its bytes are being sent.
class ReplyMessage {
 public:
  virtual const google::protobuf::MessageLite& message() const = 0;
  // Its size on the wire, counted at the first call. From then on the message must not change.
  size_t size() { return size_ != kUnknown ? size_ : Count(); }
  // Called at most once. From then on the message lives as long as the returned object. `shared`:
  // so many of its bytes are referenced meanwhile.
  virtual std::shared_ptr<const void> Keep(size_t shared) = 0;

 protected:
  ~ReplyMessage() = default;

 private:
  static constexpr size_t kUnknown = SIZE_MAX;
  size_t Count();

  size_t size_ = kUnknown;
};

// The origin of a call: the session, as the call sees it.
class CallOrigin {
 public:
  virtual ~CallOrigin() = default;
  // Sends the answer. Any thread. `reply` is null unless status is OK. `more_soon`: other answers
  // are about to be made, so this one may leave together with them at the end of the loop's turn.
  virtual void SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage* reply,
                          bool more_soon) = 0;
  // Sends the call's initial metadata now; false: not, see ServerContext. The handler's thread.
  virtual bool SendInitialMetadata(InboundCall& call) {
    (void)call;
    return false;
  }
  // The call is back in its pool. On the loop.
  virtual void OnCallReturned(InboundCall& call) = 0;
  // Marks the call as cancelled when its deadline comes. Any thread.
  virtual void WatchDeadline(InboundCall& call) = 0;
  // The connection, for calls back to the caller; null: its protocol has none. Any thread.
  virtual std::shared_ptr<CallLink> Link() { return nullptr; }
  virtual const std::string& peer() const = 0;
  virtual const std::string& identity() const = 0;

  CallerSlot caller;
  // Set if the connection belongs to a node: its calls then have their order by node. Null: by
  // connection. Written on the loop, before the first call.
  std::shared_ptr<const CallingWay> way;
  // The shares of its calls in the queues that they wait in. Used by the dispatcher, on the loop.
  std::vector<std::shared_ptr<WorkShare>> shares;
  // Its calls under a limit of all connections' calls: `taken` were let in, written on the loop;
  // `given_back` of them have left again, from any thread.
  struct Places {
    int64_t taken = 0;
    std::atomic<int64_t> given_back{0};
    int64_t held() const { return taken - given_back.load(std::memory_order_relaxed); }
  };
  Places places;
};

// Executes calls: a dispatcher, seen from the call.
class CallRunner {
 public:
  virtual void RunCall(InboundCall& call, int worker) = 0;
  // The pool has stopped before it could run.
  virtual void RefuseCall(InboundCall& call) = 0;
  // Asked when an answer is ready. True: more answers are about to be made, so this one may wait
  // for them and leave in the same write.
  virtual bool MoreSoon() const { return false; }

 protected:
  ~CallRunner() = default;
};

// Learns that a call that it let in has been answered, before the call object is used again.
class AnswerListener {
 public:
  virtual void OnAnswered(InboundCall& call) = 0;

 protected:
  ~AnswerListener() = default;
};

class InboundCall final : public WorkItem, public DeadlineEntry {
 public:
  // The dispatcher's own fields of a call: nobody else looks at them.
  struct Serving {
    CallRunner* runner = nullptr;        // runs or refuses it; null: it runs on the loop
    AnswerListener* listener = nullptr;  // null: there is none
    SerialQueue* queue = nullptr;        // of a call that has an order: where it stands
    bool admitted = false;               // counted against the server's limits
    MonoTime started{};                  // of an admitted call that a worker has taken
  };

  explicit InboundCall(CallPool& home) : context_(*this), pool_(home) {}

  // ---- by the session, on the loop
  // The request's bytes: copied when there are few, by reference to `block` otherwise.
  void SetRequest(const BlockRef& block, const char* data, size_t size) {
    request_.Set(block, data, size);
  }
  // The number of bytes that the call keeps in a block of the input; 0: none. Valid until it is
  // handed over.
  size_t kept_input() const { return request_.kept_input(); }
  // Copies the request's bytes, so that the call no longer keeps the block. Call it before the
  // handover.
  void LetGoOfInput() { request_.LetGoOfInput(); }
  // Tells that the request is compressed, or that the last bytes of what SetRequest got are an
  // attachment.
  void SetPayload(Compression codec, uint32_t inflated_size, size_t attachment_size,
                  const MessageLimit& max_message, InflateGate* gate = nullptr) {
    request_.SetPayload(codec, inflated_size, attachment_size, max_message, gate);
  }
  void SetMetadata(std::string_view raw) { metadata_.Set(raw); }
  // Resets the call for its next use. Called by the pool, on the loop.
  void Reset();

  std::shared_ptr<CallOrigin> origin;
  std::atomic<uint64_t> id{0};
  const BoundMethod* bound = nullptr;
  // Times of `clock`.
  MonoTime received{};
  MonoTime answered{};
  MonoTime deadline = kNever;
  // Bytes counted in the account of its connection, until the call is back in its pool.
  size_t input_held = 0;
  const Clock* clock = &Clock::System();

  // ---- by the dispatcher
  Serving serving;
  void Run(int worker) override;
  void Cancel() override;
  // Returns the reason why the call must not be executed any more, or OK.
  absl::Status CheckStillWanted() const;
  // Answers without the handler having seen the call.
  void Refuse(const absl::Status& status);
  bool refused() const { return refused_; }

  // The caller's identity. It is the connection's, unless calls are authenticated one by one.
  void SetIdentity(std::unique_ptr<const std::string> identity) {
    metadata_.SetCaller(std::move(identity));
  }
  const std::string& identity() const {
    return metadata_.caller() != nullptr ? *metadata_.caller() : origin->identity();
  }

  // Made before the handler runs; null on a server without interceptors.
  std::unique_ptr<ServerInterception> interception;

  // ---- by the handler's trampoline
  // Tells the interceptors of a message that has come, or is being sent. Called by the stream. An
  // interceptor's error: the call is to be answered with it.
  absl::Status OnMessage(MessageDirection direction, size_t bytes) {
    return interception == nullptr ? absl::OkStatus() : interception->OnMessage(direction, bytes);
  }
  ServerContext& context() { return context_; }
  // Parses the request and lets go of its bytes. False: it answered the call itself.
  bool Parse(google::protobuf::MessageLite& request);
  size_t request_size() const { return request_.size(); }
  // The request as it was serialized, whatever it travelled as: without its attachment, inflated
  // once where it is compressed. Until it is parsed.
  absl::StatusOr<std::string_view> MessageBytes() { return request_.MessageBytes(MethodName()); }
  // Sends the answer. Afterwards the call belongs to somebody else, so nothing may touch it. In a
  // forked child it does nothing: the parent gives the answer.
  void Answer(const absl::Status& status, ReplyMessage* reply);
  // The messages of a call that streams; null for a unary one. Set before the call is handed over.
  std::shared_ptr<StreamPort> stream;
  // The codec of its reply.
  Compression reply_codec = Compression::kNone;
  // The session has ended the call by itself, so the handler's answer goes nowhere.
  std::atomic<bool> aborted{false};
  // Messages that live with the call, for handlers that answer later.
  std::unique_ptr<MessagePairBase> own_messages;

  // ---- from the other side
  void MarkCancelled();
  // Marks the call as cancelled by the server, which is out of time to stop. The caller is told so
  // if the call has not been executed.
  void MarkStopped() {
    cancel_.MarkStopped();
    MarkCancelled();
  }
  // DeadlineEntry: only of calls whose handler asked for a stop token.
  void OnDeadline() override { MarkCancelled(); }
  // True if the answer is on its way or has left: nothing that still comes from the caller matters.
  bool has_answer() const { return answered_.load(std::memory_order_acquire); }
  bool cancelled() const { return cancel_.cancelled(); }

  // The scope that calls of its handler inherit; made at the first use.
  std::shared_ptr<CallScope> Scope() { return cancel_.Scope(deadline); }

  // ---- for ServerContext and the session
  const absl::Status& ParseMetadata() { return metadata_.Parse(); }
  Metadata& metadata() { return metadata_.metadata(); }
  Metadata& trailers() { return reply_.trailers; }
  InitialMetadata& initial_metadata() { return reply_.initial_metadata; }
  // Null: the protocol has no calls in this direction.
  std::shared_ptr<CallTarget> Caller();
  bool SendInitialMetadata() {
    return !home_.InForkedChild() && origin->SendInitialMetadata(*this);
  }
  const absl::Cord& attachment() const { return request_.attachment(); }
  absl::Cord& reply_attachment() { return reply_.attachment; }

 private:
  friend class CallPool;
  // The parts of the answer that go back beside the message.
  struct Reply {
    Metadata trailers;
    InitialMetadata initial_metadata;
    absl::Cord attachment;
  };

  // Answers a call that has a stream or interceptors.
  void AnswerSlow(const absl::Status& wish, ReplyMessage* reply);
  void Send(const absl::Status& status, ReplyMessage* reply);
  absl::Status StreamError() const;
  std::string_view MethodName() const;

  InboundRequest request_;
  InboundCancel cancel_;
  std::atomic<bool> answered_{false};
  bool refused_ = false;
  const ForkGuard home_;
  ServerContext context_;
  CallPool& pool_;
  InboundCall* next_returned_ = nullptr;
  InboundMetadata metadata_;
  Reply reply_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INBOUND_CALL_H_
