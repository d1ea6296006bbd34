#include "weft/rpc/call/inbound_call.h"

#include <cstring>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/call/stream_port.h"

namespace weft {

size_t ReplyMessage::Count() { return size_ = MessageCodec::ByteSize(message()); }

void InboundCall::SetRequest(const BlockRef& block, const char* data, size_t size) {
  size_ = size;
  if (size <= kSmall) {
    if (size > 0) std::memcpy(small_.data(), data, size);
    data_ = small_.data();
  } else {
    block_ = block;
    data_ = data;
  }
}

// Where there is no memory the call keeps the block.
void InboundCall::LetGoOfInput() {
  BlockRef own = BlockRef::TryNew(size_);
  if (!own) return;
  std::memcpy(own->data(), data_, size_);
  data_ = own->data();
  block_ = std::move(own);
}

void InboundCall::Reset() {
  id.store(0, std::memory_order_relaxed);
  origin.reset();
  bound = nullptr;
  hint = nullptr;
  runner = nullptr;
  listener = nullptr;
  queue = nullptr;
  SetShare(nullptr);
  admitted = false;
  deadline = kNever;
  block_.reset();
  data_ = nullptr;
  size_ = 0;
  own_messages.reset();
  interception.reset();
  stream.reset();
  aborted.store(false, std::memory_order_relaxed);
  if (slow_) {
    slow_ = false;
    codec_ = Compression::kNone;
    attachment_size_ = 0;
    inflated_.reset();
    inflating_ = InflateGate::Entry();
    attachment_.Clear();
  }
  if (!reply_attachment_.empty()) reply_attachment_.Clear();
  cancelled_.store(false, std::memory_order_relaxed);
  stopped_.store(false, std::memory_order_relaxed);
  if (scoped_.load(std::memory_order_relaxed)) {
    scoped_.store(false, std::memory_order_relaxed);
    MutexLock lock(scope_mu_);
    scope_.reset();
  }
  answered_.store(false, std::memory_order_relaxed);
  refused_ = false;
  if (!raw_metadata_.empty() || metadata_parsed_) {
    raw_metadata_.clear();
    if (raw_metadata_.capacity() > kMaxKeptMetadata) std::string().swap(raw_metadata_);
    metadata_parsed_ = false;
    metadata_status_ = absl::OkStatus();
    metadata_.Clear();
  }
  if (!trailers_.empty()) trailers_.Clear();
  if (!initial_metadata_.pairs.empty()) initial_metadata_.pairs.Clear();
  initial_metadata_.sent = false;
}

void InboundCall::MarkCancelled() {
  cancelled_.store(true, std::memory_order_release);
  // Whoever is told may answer at once, and then the call may be gone.
  const std::shared_ptr<StreamPort> port = stream;
  std::shared_ptr<CallScope> scope;
  {
    MutexLock lock(scope_mu_);
    scope = scope_;
  }
  if (scope == nullptr) {
    if (port != nullptr) port->EndStream(/*drop=*/true);
    return;
  }
  // Stop runs the handler's callbacks, before its waiting ends.
  CallbackQueue::Call(nullptr, "a callback of a stop token", [port, scope] {
    scope->Stop();
    if (port != nullptr) port->EndStream(/*drop=*/true);
  });
}

std::shared_ptr<CallScope> InboundCall::Scope() {
  MutexLock lock(scope_mu_);
  if (scope_ == nullptr) {
    scope_ = std::make_shared<CallScope>(deadline);
    scoped_.store(true, std::memory_order_relaxed);
    // Nobody has a callback in it yet. Cancelled later: MarkCancelled finds it.
    if (cancelled()) scope_->Stop();
  }
  return scope_;
}

void InboundCall::Run(int worker) { runner->RunCall(*this, worker); }
void InboundCall::Cancel() { runner->RefuseCall(*this); }

absl::Status InboundCall::CheckStillWanted() const {
  // Seen once: what happens from here on is the handler's to see.
  const bool was_cancelled = cancelled();
  if (was_cancelled && stopped_.load(std::memory_order_relaxed)) {
    return absl::UnavailableError("the server has stopped; the call was not executed");
  }
  if (deadline != kNever) {
    const MonoTime now = clock->Now();
    if (now >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("deadline passed in the server's queue, not executed (waited ",
                       InMs(now - received), ")"));
    }
  }
  // After the deadline, which cancels too.
  if (was_cancelled) return absl::CancelledError("cancelled before it was executed");
  return absl::OkStatus();
}

bool InboundCall::Parse(google::protobuf::MessageLite& request) {
  if (interception != nullptr) {
    if (absl::Status s = OnMessage(MessageDirection::kReceived, size_); !s.ok()) {
      Refuse(s);
      return false;
    }
  }
  if (slow_) return ParseSlow(request);
  const MessageCodec::Parsed parsed = MessageCodec::Parse(data_, size_, &request);
  block_.reset();  // large bytes go now, not when the handler is done
  data_ = nullptr;
  if (parsed == MessageCodec::Parsed::kDone) return true;
  Refuse(MessageCodec::ParseError(parsed,
                                  absl::StrCat(std::string(bound->method->info->full_name), ": "),
                                  "request", size_, request));
  return false;
}

bool InboundCall::ParseSlow(google::protobuf::MessageLite& request) {
  ReceivedMessage message{std::move(block_), data_,           size_ - attachment_size_, codec_,
                          inflated_size_,    attachment_size_};
  data_ = nullptr;
  const ReceivedMessage inflated{inflated_, inflated_ ? inflated_->data() : nullptr,
                                 inflated_size_};
  const absl::Status s = (inflated_ ? inflated : message).Parse(max_message_, &request, gate_);
  inflated_.reset();
  inflating_ = InflateGate::Entry();
  if (!s.ok()) {
    Refuse(Annotate(s, absl::StrCat(std::string(bound->method->info->full_name), ": the request")));
    return false;
  }
  // A small one lies in the call itself.
  attachment_ = message.block
                    ? message.Attachment()
                    : absl::Cord(absl::string_view(message.data + message.size, attachment_size_));
  return true;
}

absl::StatusOr<std::string_view> InboundCall::MessageBytes() {
  const std::string_view bytes(data_, size_ - attachment_size_);
  if (codec_ == Compression::kNone) return bytes;
  if (!inflated_) {
    absl::Status s = absl::OkStatus();
    if (gate_ != nullptr) s = gate_->Admit(codec_, bytes.size(), inflated_size_, &inflating_);
    if (s.ok()) s = Inflate(codec_, bytes, inflated_size_, max_message_, &inflated_);
    if (!s.ok()) {
      return Annotate(s,
                      absl::StrCat(std::string(bound->method->info->full_name), ": the request"));
    }
  }
  return std::string_view(inflated_ ? inflated_->data() : "", inflated_size_);
}

void InboundCall::SetPayload(Compression codec, uint32_t inflated_size, size_t attachment_size,
                             size_t max_message, InflateGate* gate) {
  slow_ = true;
  codec_ = codec;
  inflated_size_ = inflated_size;
  attachment_size_ = attachment_size;
  max_message_ = max_message;
  gate_ = gate;
}

const absl::Status& InboundCall::ParseMetadata() {
  if (!metadata_parsed_) {
    metadata_parsed_ = true;
    if (!raw_metadata_.empty()) metadata_status_ = metadata_.ReadFrom(raw_metadata_);
  }
  return metadata_status_;
}

void InboundCall::Refuse(const absl::Status& status) {
  refused_ = true;
  Answer(status, nullptr);
}

// What a stream ends with that was not its handler's to end; OK: what the handler says. One that
// was ended from outside looks to its handler like one whose caller has said all, or does not read.
absl::Status InboundCall::StreamError() const {
  if (absl::Status error = stream->error(); !error.ok() || !stream->ended()) return error;
  if (stopped_.load(std::memory_order_relaxed)) {
    return absl::UnavailableError("the server has stopped; the stream had not come to its end");
  }
  if (answered >= deadline) {
    return absl::DeadlineExceededError(
        "the deadline passed at the server; the stream had not come to its end");
  }
  return absl::CancelledError("cancelled; the stream had not come to its end");
}

void InboundCall::Answer(const absl::Status& wish, ReplyMessage* reply) {
  if (home_.InForkedChild()) return;
  if (answered_.exchange(true, std::memory_order_acq_rel)) {
    WEFT_DCHECK(false);  // a second answer
    return;
  }
  answered = clock->Now();
  if (interception == nullptr && stream == nullptr) {
    Send(wish, reply);
  } else {
    AnswerSlow(wish, reply);
  }
}

void InboundCall::AnswerSlow(const absl::Status& wish, ReplyMessage* reply) {
  // What the stream could not send or take goes before what the handler makes of it.
  const absl::Status own = stream != nullptr && !refused_ ? StreamError() : absl::OkStatus();
  const absl::Status& status = own.ok() ? wish : own;
  if (interception == nullptr) {
    Send(status, reply);
  } else {
    const bool has_reply = status.ok() && reply != nullptr;
    Send(interception->End(*this, status,
                           has_reply ? static_cast<ptrdiff_t>(reply->size()) : ptrdiff_t{-1}),
         reply);
  }
}

void InboundCall::Send(const absl::Status& status, ReplyMessage* reply) {
  if (bound != nullptr) bound->stats->Add(status.code(), answered - received);
  if (stream != nullptr) stream->EndStream(/*drop=*/true);
  origin->SendAnswer(*this, status, status.ok() ? reply : nullptr,
                     hint != nullptr && hint->MoreSoon());
  if (listener != nullptr) listener->OnAnswered(*this);
  pool_.Return(*this);
}

std::shared_ptr<CallTarget> InboundCall::Caller() {
  const std::shared_ptr<CallLink> link = origin->Link();
  if (link == nullptr || pool_.callers() == nullptr) return nullptr;
  return std::shared_ptr<CallTarget>(link, origin->caller.Get(pool_.callers(), link));
}

}  // namespace weft
