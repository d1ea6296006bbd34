#include "weft/rpc/call/stream_port.h"

#include <vector>

#include <google/protobuf/message_lite.h>

#include "absl/base/optimization.h"
#include "weft/core/thread_log.h"
#include "weft/rpc/base/message_codec.h"

namespace weft::internal {
namespace {

// A writer that wrote so often without waiting or reading in between is sending a flood: its
// messages leave together.
constexpr int kFlood = 2;

// Parses on the reader's thread. Lines that protobuf logs meanwhile go to the stream's log, also on
// threads of the application.
absl::Status ParseMessage(const ReceivedMessage& message, const StreamSource& from,
                          google::protobuf::MessageLite* out) {
  if (from.log == nullptr || ThreadLog::Current() != nullptr) {
    return message.Parse(from.max_message, out, from.gate);
  }
  const ThreadLog lines(*from.log);
  return message.Parse(from.max_message, out, from.gate);
}

}  // namespace

StreamPort::~StreamPort() = default;

// ---- reading

StreamRead StreamPort::TryRead(google::protobuf::MessageLite* out, absl::Cord* attachment) {
  if (home_.InForkedChild()) return StreamRead::kEnd;
  if (batch_.empty()) {
    batch_.Clear();
    MutexLock lock(mu_);
    // The inbox's whole queue is swapped into the batch, so one lock serves many reads.
    const StreamRead what = inbox_.Take(&batch_);
    if (what != StreamRead::kMessage) return what;
  }
  StreamItem item = batch_.Take();
  const StreamSource& from = batch_.source();
  // A writer that reads in between answers, and does not send a flood.
  writes_in_a_row_.store(0, std::memory_order_relaxed);
  absl::Status s = ParseMessage(item.message, from, out);
  if (s.ok() && WantsMessages()) s = OnStreamMessage(/*outgoing=*/false, item.message.size);
  if (attachment != nullptr) *attachment = item.message.Attachment();
  // The block goes before the credit does: a peer that sends more at once finds the memory free.
  item.message.block.reset();
  // False when the stream has ended meanwhile: its end has given back the credit of the whole
  // batch.
  if (batch_.TakeCost(item.cost)) from.transport->ReturnCredit(*this, item.cost);
  if (s.ok()) return StreamRead::kMessage;
  Fail(std::move(s));
  return StreamRead::kEnd;
}

void StreamPort::Deliver(ReceivedMessage message, size_t cost) {
  Wake reader, beginning;
  StreamTransport* dropped_for = nullptr;
  {
    MutexLock lock(mu_);
    beginning = inbox_.SetNoInitialMetadata();
    if (inbox_.state() == StreamInbox::State::kDropped) {
      dropped_for = inbox_.source().transport;
    } else {
      reader = inbox_.Add(std::move(message), cost);
    }
  }
  // The transport and the wakes are called without mu_: the transport takes its own lock, and a
  // wake may read or write this stream on this thread.
  if (dropped_for != nullptr) dropped_for->ReturnCredit(*this, cost);
  CallIfSet(beginning);
  CallIfSet(reader);
}

void StreamPort::OnHalfClose() {
  Wake reader, beginning;
  {
    MutexLock lock(mu_);
    beginning = inbox_.SetNoInitialMetadata();
    reader = inbox_.Close();
  }
  CallIfSet(beginning);
  CallIfSet(reader);
}

void StreamPort::OnInitialMetadata() {
  Wake beginning;
  {
    MutexLock lock(mu_);
    beginning = inbox_.SetInitialMetadata();
  }
  CallIfSet(beginning);
}

StreamInbox::Beginning StreamPort::beginning() const {
  if (home_.InForkedChild()) return StreamInbox::Beginning::kNone;
  MutexLock lock(mu_);
  return inbox_.beginning();
}

void StreamPort::StopReading() {
  Wake reader;
  std::vector<StreamItem> dropped;  // go without the lock
  StreamTransport* transport;
  size_t cost;
  {
    MutexLock lock(mu_);
    cost = inbox_.Drop(&dropped) + batch_.DropCost();
    transport = inbox_.source().transport;
    reader = inbox_.StopWaitingForMessages();
  }
  if (cost > 0) transport->ReturnCredit(*this, cost);
  CallIfSet(reader);
}

// ---- writing

StreamSent StreamPort::TryWrite(const google::protobuf::MessageLite& message, bool last,
                                const absl::Cord* attachment) {
  if (home_.InForkedChild()) return StreamSent::kEnded;
  StreamOutbox::Transport transport;
  bool keeps = false;
  {
    MutexLock lock(mu_);
    const StreamSent way = outbox_.CheckWritable(&transport, &keeps);
    if (way != StreamSent::kSent) return way;
  }
  absl::Status why;
  if (ABSL_PREDICT_FALSE(!MessageCodec::IsComplete(message))) {
    Fail(MessageCodec::Incomplete(CodeOfIncomplete(), "a stream message", message));
    return StreamSent::kEnded;
  }
  if (WantsMessages()) {
    // An interceptor must see each message only once, so do not start a send that would be blocked.
    if (!transport->HasRoom(*this)) return StreamSent::kBlocked;
    why = OnStreamMessage(/*outgoing=*/true, message.ByteSizeLong());
    if (!why.ok()) {
      Fail(std::move(why));
      return StreamSent::kEnded;
    }
  }
  const bool flood = writes_in_a_row_.fetch_add(1, std::memory_order_relaxed) >= kFlood;
  const StreamMessage outgoing{.message = &message, .attachment = attachment};
  // mu_ is not held while sending: the send may end the connection, and that the call, which takes
  // mu_. So the call may also lose this transport meanwhile (decision 0015).
  const StreamSent sent = keeps ? SendKept(outgoing, last, flood, &why)
                                : transport->SendMessage(*this, outgoing, last, flood, &why);
  if (sent == StreamSent::kRefused) {
    Fail(std::move(why));
    return StreamSent::kEnded;
  }
  if (sent == StreamSent::kSent && last) {
    MutexLock lock(mu_);
    outbox_.SetLastSent();
  }
  return sent;
}

StreamSent StreamPort::SendKept(const StreamMessage& message, bool last, bool gather,
                                absl::Status* why) {
  StreamOutbox::KeptSend send;
  {
    MutexLock lock(mu_);
    const StreamSent way = outbox_.BeginKept(message, last, &send);
    if (way != StreamSent::kSent) return way;
  }
  const StreamSent sent = send.transport->SendMessage(*this, send.message, last, gather, why);
  MutexLock lock(mu_);
  return outbox_.EndKept(send, sent);
}

bool StreamPort::HasRoom() {
  if (home_.InForkedChild()) return false;
  StreamOutbox::Transport transport;
  {
    MutexLock lock(mu_);
    bool keeps;
    if (outbox_.CheckWritable(&transport, &keeps) != StreamSent::kSent) return false;
  }
  // Without mu_: the transport takes its own lock.
  return transport->HasRoom(*this);
}

void StreamPort::HalfClose() {
  if (home_.InForkedChild()) return;
  StreamOutbox::Transport told;
  {
    MutexLock lock(mu_);
    told = outbox_.HalfClose();
  }
  if (told != nullptr) told->SendHalfClose(*this);
}

bool StreamPort::SendAgain() {
  for (;;) {
    StreamOutbox::KeptSend send;
    StreamOutbox::Again what;
    {
      MutexLock lock(mu_);
      what = outbox_.NextAgain(&send);
    }
    if (what == StreamOutbox::Again::kHalfClose) send.transport->SendHalfClose(*this);
    if (what != StreamOutbox::Again::kMessage) return what != StreamOutbox::Again::kNothing;
    absl::Status why;
    const StreamSent sent =
        send.transport->SendMessage(*this, send.message, send.last, /*gather=*/true, &why);
    {
      MutexLock lock(mu_);
      if (!outbox_.EndAgain(send, sent)) return false;
    }
    if (sent == StreamSent::kRefused) Fail(std::move(why));
    if (sent != StreamSent::kSent) return false;
  }
}

void StreamPort::OnRoom() {
  // False: kept messages go before the writer's next one.
  const auto tell_writer = [this] {
    Wake writer;
    {
      MutexLock lock(mu_);
      if (outbox_.sending_again()) return false;
      writer = outbox_.SignalRoom();
    }
    CallIfSet(writer);
    return true;
  };
  // The writer is told only when all kept messages have gone: its next one comes behind them.
  if (!tell_writer() && SendAgain()) (void)tell_writer();
}

// ---- waiting

bool StreamPort::Wait(For what, Wake wake) {
  MutexLock lock(mu_);
  switch (what) {
    case For::kMessages:
      return inbox_.WaitForMessages(wake);
    case For::kInitialMetadata:
      return inbox_.WaitForBeginning(wake);
    case For::kRoom:
      return outbox_.WaitForRoom(wake);
  }
  return false;
}

bool StreamPort::StopWaiting(For what) {
  Wake stopped;  // goes without the lock
  MutexLock lock(mu_);
  switch (what) {
    case For::kMessages:
      stopped = inbox_.StopWaitingForMessages();
      break;
    case For::kInitialMetadata:
      stopped = inbox_.StopWaitingForBeginning();
      break;
    case For::kRoom:
      stopped = outbox_.StopWaitingForRoom();
      break;
  }
  return stopped != nullptr;
}

// ---- the call's end, its beginning, and its transports

void StreamPort::Fail(absl::Status error) {
  {
    MutexLock lock(mu_);
    // The first error counts: later ones are mostly its consequences.
    if (!error_.ok() || ended_.load(std::memory_order_relaxed)) return;
    error_ = error;
  }
  OnFailed(error);
  EndStream(/*drop=*/true);
}

absl::Status StreamPort::error() const {
  MutexLock lock(mu_);
  return error_;
}

void StreamPort::EndStream(bool drop) {
  if (home_.InForkedChild()) return;
  Wake reader, writer, beginning;
  std::vector<StreamItem> dropped;  // go without the lock
  StreamTransport* transport;
  size_t cost = 0;
  {
    MutexLock lock(mu_);
    // Set under mu_ although ended() reads it without: Fail relies on that.
    ended_.store(true, std::memory_order_release);
    if (drop) cost = inbox_.Drop(&dropped) + batch_.DropCost();
    transport = inbox_.source().transport;
    reader = inbox_.Close();
    writer = outbox_.End();
    beginning = inbox_.SetNoInitialMetadata();
  }
  if (cost > 0) transport->ReturnCredit(*this, cost);
  CallIfSet(beginning);
  CallIfSet(reader);
  CallIfSet(writer);
}

void StreamPort::Bind(std::shared_ptr<StreamTransport> transport, const MessageLimit& max_message,
                      InflateGate* gate) {
  const StreamSource source{transport.get(), transport->log(), gate, max_message};
  MutexLock lock(mu_);
  // The inbox only refers to the transport; the outbox keeps it.
  inbox_.SetSource(source);
  outbox_.Bind(std::move(transport));
}

void StreamPort::Opened(const StreamTransport& transport) {
  StreamOutbox::Transport half_close;
  {
    MutexLock lock(mu_);
    if (!outbox_.Open(transport, &half_close)) return;
  }
  if (half_close != nullptr) half_close->SendHalfClose(*this);
  OnRoom();
}

void StreamPort::KeepSent() {
  MutexLock lock(mu_);
  outbox_.KeepSent();
}

void StreamPort::StopKeeping() {
  MutexLock lock(mu_);
  outbox_.StopKeeping();
}

bool StreamPort::Unbind() {
  MutexLock lock(mu_);
  return !taken_ && outbox_.Unbind();
}

}  // namespace weft::internal
