#include "weft/rpc/call/stream_port.h"

#include <cstring>

#include <google/protobuf/message_lite.h>

#include "weft/core/thread_log.h"

namespace weft {
namespace {

// A writer that wrote so often without waiting or reading in between is sending a flood: its
// messages leave together.
constexpr int kFlood = 2;

// On the reader's thread, which may be no thread of weft's.
absl::Status ParseItem(const ReceivedMessage& message, size_t limit, InflateGate* gate,
                       const Log* log, google::protobuf::MessageLite* out) {
  if (log == nullptr || ThreadLog::Current() != nullptr) return message.Parse(limit, out, gate);
  const ThreadLog lines(*log);
  return message.Parse(limit, out, gate);
}

}  // namespace

StreamPort::~StreamPort() = default;

StreamRead StreamPort::TakeItem(Item* item) {
  if (next_ == reading_.size()) {
    reading_.clear();
    next_ = 0;
    MutexLock lock(mu_);
    if (dropped_) return StreamRead::kEnd;
    if (inbox_.empty()) {
      return peer_ended_ || ended_.load(std::memory_order_relaxed) ? StreamRead::kEnd
                                                                   : StreamRead::kNothingYet;
    }
    reading_.swap(inbox_);
    from_ = {carrier_.get(), carrier_->log(), gate_, max_message_};
    in_hand_.store(std::exchange(inbox_cost_, 0), std::memory_order_relaxed);
  }
  *item = std::move(reading_[next_++]);
  return StreamRead::kMessage;
}

// False: whoever dropped the rest has given it back, too.
bool StreamPort::TakeFromHand(size_t cost) {
  size_t in_hand = in_hand_.load(std::memory_order_relaxed);
  while (in_hand > 0) {
    if (in_hand_.compare_exchange_weak(in_hand, in_hand - cost, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// What the messages cost that wait to be read, those that the reader has in its hands included.
size_t StreamPort::Drop(std::vector<Item>* dropped) {
  dropped_ = true;
  dropped->swap(inbox_);
  chunk_.reset();
  return std::exchange(inbox_cost_, 0) + in_hand_.exchange(0, std::memory_order_relaxed);
}

StreamRead StreamPort::TryRead(google::protobuf::MessageLite* out, absl::Cord* attachment) {
  if (home_.InForkedChild()) return StreamRead::kEnd;
  Item item;
  const StreamRead what = TakeItem(&item);
  if (what != StreamRead::kMessage) return what;
  writes_in_a_row_.store(0, std::memory_order_relaxed);
  absl::Status s = ParseItem(item.message, from_.max_message, from_.gate, from_.log, out);
  if (s.ok() && WantsMessages()) s = OnStreamMessage(/*outgoing=*/false, item.message.size);
  if (attachment != nullptr) *attachment = item.message.Attachment();
  item.message.block.reset();
  if (TakeFromHand(item.cost)) from_.carrier->ReturnCredit(*this, item.cost);
  if (s.ok()) return StreamRead::kMessage;
  Fail(std::move(s));
  return StreamRead::kEnd;
}

StreamSent StreamPort::CheckWritable(std::shared_ptr<StreamTransport>* carrier, bool* keeps) {
  MutexLock lock(mu_);
  if (writer_ended_ || ended_.load(std::memory_order_relaxed)) return StreamSent::kEnded;
  if (carrier_ == nullptr || (sent_ != nullptr && !sent_->open())) return StreamSent::kBlocked;
  *carrier = carrier_;
  *keeps = sent_ != nullptr && sent_->keeps();
  return StreamSent::kSent;
}

StreamSent StreamPort::TryWrite(const google::protobuf::MessageLite& message, bool last,
                                const absl::Cord* attachment) {
  if (home_.InForkedChild()) return StreamSent::kEnded;
  std::shared_ptr<StreamTransport> carrier;
  bool keeps = false;
  if (const StreamSent way = CheckWritable(&carrier, &keeps); way != StreamSent::kSent) return way;
  absl::Status why;
  if (WantsMessages()) {
    if (!carrier->HasRoom(*this)) return StreamSent::kBlocked;  // it sees each message once
    why = OnStreamMessage(/*outgoing=*/true, message.ByteSizeLong());
    if (!why.ok()) {
      Fail(std::move(why));
      return StreamSent::kEnded;
    }
  }
  const bool flood = writes_in_a_row_.fetch_add(1, std::memory_order_relaxed) >= kFlood;
  const StreamMessage outgoing{.message = &message, .attachment = attachment};
  const StreamSent sent = keeps ? SendKept(outgoing, last, flood, &why)
                                : carrier->SendMessage(*this, outgoing, last, flood, &why);
  if (sent == StreamSent::kRefused) {
    Fail(std::move(why));
    return StreamSent::kEnded;
  }
  if (sent == StreamSent::kSent && last) {
    MutexLock lock(mu_);
    writer_ended_ = true;
  }
  return sent;
}

// The call may lose its carrier at any moment: then the message goes with those that are kept.
StreamSent StreamPort::SendKept(const StreamMessage& message, bool last, bool gather,
                                absl::Status* why) {
  std::shared_ptr<StreamTransport> carrier;
  StreamMessage outgoing = message;
  bool added;
  uint32_t turn;
  {
    MutexLock lock(mu_);
    if (ended_.load(std::memory_order_relaxed)) return StreamSent::kEnded;
    if (!sent_->open()) return StreamSent::kBlocked;
    carrier = carrier_;
    added = sent_->Add(*message.message, message.attachment, last, &outgoing.bytes);
    if (added) outgoing.message = nullptr;
    turn = sent_->turn();
    sent_->Use();
  }
  StreamSent sent = carrier->SendMessage(*this, outgoing, last, gather, why);
  MutexLock lock(mu_);
  if (added && sent != StreamSent::kSent) {
    if (sent_->turn() == turn) {
      sent_->TakeBack();
    } else if (sent != StreamSent::kRefused) {
      sent = StreamSent::kSent;
    }
  }
  sent_->Unuse();
  // Whether the call has ended or goes on elsewhere is not known yet: either wakes the writer.
  return sent == StreamSent::kEnded ? StreamSent::kBlocked : sent;
}

bool StreamPort::HasRoom() {
  if (home_.InForkedChild()) return false;
  std::shared_ptr<StreamTransport> carrier;
  bool keeps;
  return CheckWritable(&carrier, &keeps) == StreamSent::kSent && carrier->HasRoom(*this);
}

void StreamPort::HalfClose() {
  if (home_.InForkedChild()) return;
  std::shared_ptr<StreamTransport> carrier;
  {
    MutexLock lock(mu_);
    if (std::exchange(writer_ended_, true) || ended_.load(std::memory_order_relaxed)) return;
    half_closed_ = true;
    if (carrier_ == nullptr || (sent_ != nullptr && !sent_->open())) return;  // with its opening
    carrier = carrier_;
  }
  carrier->SendHalfClose(*this);
}

bool StreamPort::Wait(For what, Wake wake) {
  MutexLock lock(mu_);
  if (what == For::kMessages) {
    if (!inbox_.empty() || peer_ended_ || dropped_ || ended_.load(std::memory_order_relaxed))
      return false;
    reader_ = std::move(wake);
    return true;
  }
  if (what == For::kInitialMetadata) {
    if (begun_) return false;
    beginning_ = std::move(wake);
    return true;
  }
  if (std::exchange(room_signal_, false) || ended_.load(std::memory_order_relaxed)) return false;
  writer_ = std::move(wake);
  return true;
}

bool StreamPort::StopWaiting(For what) {
  Wake stopped;  // goes without the lock
  MutexLock lock(mu_);
  stopped = TakeWake(what);
  return stopped != nullptr;
}

StreamPort::Wake& StreamPort::WakeOf(For what) {
  return what == For::kMessages ? reader_ : what == For::kRoom ? writer_ : beginning_;
}

// Whether the other side has initial metadata is known from here on.
StreamPort::Wake StreamPort::Begin() {
  return std::exchange(begun_, true) ? nullptr : TakeWake(For::kInitialMetadata);
}

StreamPort::Wake StreamPort::TakeWake(For what) { return std::exchange(WakeOf(what), nullptr); }

bool StreamPort::begun() const {
  if (home_.InForkedChild()) return true;
  MutexLock lock(mu_);
  return begun_;
}

bool StreamPort::has_initial_metadata() const {
  if (home_.InForkedChild()) return false;
  MutexLock lock(mu_);
  return has_initial_metadata_;
}

void StreamPort::OnInitialMetadata() {
  Wake beginning;
  {
    MutexLock lock(mu_);
    has_initial_metadata_ = true;
    beginning = Begin();
  }
  if (beginning) std::move(beginning)();
}

void StreamPort::Fail(absl::Status error) {
  {
    MutexLock lock(mu_);
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

void StreamPort::StopReading() {
  Wake reader;
  std::vector<Item> dropped;
  std::shared_ptr<StreamTransport> carrier;
  size_t cost;
  {
    MutexLock lock(mu_);
    cost = Drop(&dropped);
    carrier = carrier_;
    reader = TakeWake(For::kMessages);
  }
  if (cost > 0) carrier->ReturnCredit(*this, cost);
  if (reader) std::move(reader)();
}

void StreamPort::EndStream(bool drop) {
  if (home_.InForkedChild()) return;
  Wake reader, writer, beginning;
  std::vector<Item> dropped;
  std::shared_ptr<StreamTransport> carrier;
  size_t cost = 0;
  {
    MutexLock lock(mu_);
    ended_.store(true, std::memory_order_release);
    if (drop) cost = Drop(&dropped);
    carrier = carrier_;
    reader = TakeWake(For::kMessages);
    writer = TakeWake(For::kRoom);
    beginning = Begin();
  }
  if (cost > 0) carrier->ReturnCredit(*this, cost);
  if (beginning) std::move(beginning)();
  if (reader) std::move(reader)();
  if (writer) std::move(writer)();
}

void StreamPort::Bind(std::shared_ptr<StreamTransport> carrier, size_t window, size_t max_message,
                      InflateGate* gate) {
  carried_by.store(carrier.get(), std::memory_order_relaxed);
  receive_credit.store(static_cast<int64_t>(window), std::memory_order_relaxed);
  MutexLock lock(mu_);
  max_message_ = max_message;
  gate_ = gate;
  carrier_ = std::move(carrier);
  if (sent_ != nullptr) sent_->Bind();
}

void StreamPort::KeepSent() {
  MutexLock lock(mu_);
  sent_ = std::make_unique<SentMessages>();
}

bool StreamPort::Unbind() {
  MutexLock lock(mu_);
  if (taken || (sent_ != nullptr && !sent_->Unbind())) return false;
  carrier_.reset();
  return true;
}

void StreamPort::StopKeeping() {
  MutexLock lock(mu_);
  if (sent_ != nullptr) sent_->Forget();
}

void StreamPort::Opened(const StreamTransport& carrier) {
  std::shared_ptr<StreamTransport> opened;
  {
    MutexLock lock(mu_);
    if (carrier_.get() != &carrier) return;  // lost meanwhile
    if (sent_ != nullptr) {
      if (!sent_->Open()) return;
    } else if (half_closed_) {
      opened = carrier_;
    }
  }
  if (opened != nullptr) opened->SendHalfClose(*this);
  OnRoom();
}

// What was sent to the carrier before goes to this one, as far as there is room. False: it has not
// all gone.
bool StreamPort::SendAgain() {
  std::shared_ptr<StreamTransport> carrier;
  for (;;) {
    SentMessages::Message next;
    uint32_t turn;
    {
      MutexLock lock(mu_);
      if (!sent_->sending_again()) return false;
      carrier = carrier_;
      if (!sent_->Next(&next)) {
        if (!half_closed_) return true;
        break;
      }
      turn = sent_->turn();
      sent_->Use();
    }
    absl::Status why;
    const StreamMessage again{.bytes = next.bytes, .attachment = next.attachment};
    const StreamSent sent = carrier->SendMessage(*this, again, next.last, /*gather=*/true, &why);
    {
      MutexLock lock(mu_);
      const bool same = sent_->turn() == turn;
      if (same && sent == StreamSent::kSent) sent_->SentNext();
      sent_->Unuse();
      if (!same) return false;
    }
    if (sent == StreamSent::kRefused) Fail(std::move(why));
    if (sent != StreamSent::kSent) return false;
  }
  carrier->SendHalfClose(*this);
  return true;
}

// Small bytes go into a chunk of their own; large ones stay where they came.
void StreamPort::Keep(ReceivedMessage* message) {
  const size_t size = message->size + message->attachment_size;
  if (size >= kCopyBelow) return;
  if (size == 0) {
    message->block.reset();
    return;
  }
  if (!chunk_ || chunk_->capacity() - chunk_used_ < size) {
    chunk_ = BlockRef::New(inbox_.empty() && !chunk_ ? kCopyBelow : kChunk);
    chunk_used_ = 0;
  }
  char* const to = chunk_->data() + chunk_used_;
  std::memcpy(to, message->data, size);
  chunk_used_ += size;
  message->block = chunk_;
  message->data = to;
}

void StreamPort::Deliver(ReceivedMessage message, size_t cost) {
  Wake reader, beginning;
  std::shared_ptr<StreamTransport> carrier;
  {
    MutexLock lock(mu_);
    beginning = Begin();
    if (dropped_) {
      carrier = carrier_;
    } else {
      Keep(&message);
      inbox_.push_back({std::move(message), cost});
      inbox_cost_ += cost;
      reader = TakeWake(For::kMessages);
    }
  }
  if (carrier != nullptr) carrier->ReturnCredit(*this, cost);
  if (beginning) std::move(beginning)();
  if (reader) std::move(reader)();
}

void StreamPort::OnHalfClose() {
  Wake reader, beginning;
  {
    MutexLock lock(mu_);
    beginning = Begin();
    peer_ended_ = true;
    reader = TakeWake(For::kMessages);
  }
  if (beginning) std::move(beginning)();
  if (reader) std::move(reader)();
}

void StreamPort::OnRoom() {
  if (!TellWriter() && SendAgain()) (void)TellWriter();
}

// False: what was kept goes first.
bool StreamPort::TellWriter() {
  Wake writer;
  {
    MutexLock lock(mu_);
    if (sent_ != nullptr && sent_->sending_again()) return false;
    writer = TakeWake(For::kRoom);
    if (!writer) room_signal_ = true;
  }
  if (writer) std::move(writer)();
  return true;
}

}  // namespace weft
