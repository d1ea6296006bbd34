#include "tests/history/stream_caller.h"

#include <chrono>
#include <thread>
#include <utility>

#include "tests/history/history_services.h"

namespace weft::test {
namespace {

CallOptions WithScript(const StreamScript& script, const CallOptions& options) {
  (void)options.context->metadata().Add(StreamScript::kMetadataKey, script.ToText());
  return options;
}

// A slow caller lets the windows fill up, so that the server has to wait.
void Linger(bool slow) {
  if (slow) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

}  // namespace

StreamCaller::StreamCaller(const Rows::Stub& stub, const Wishes& wishes, const CallOptions& options)
    : stub_(stub),
      wishes_(wishes),
      script_(wishes_.script),
      options_(WithScript(script_, options)) {}

// ---- what is counted and compared

// False: nothing more is to be read.
bool StreamCaller::TakeReply(int64_t expected_index) {
  if (!script_.IsReply(in_, expected_index)) tally_.in_order = false;
  ++tally_.received;
  if (AtMidway(tally_.received, Midway::kFinish)) return false;
  return true;
}

StreamOutcome StreamCaller::Dropped() {
  // A stream that is destroyed before its end cancels its call.
  adding_.reset();
  list_.reset();
  talk_.reset();
  return {absl::CancelledError("dropped"), tally_, true, true};
}

StreamOutcome StreamCaller::Ended(absl::Status status) {
  StreamOutcome outcome{std::move(status), tally_};
  const bool by_handler = outcome.status.ok() || outcome.status.message() == FailureOf(script_.key);
  // Only an end by the handler says how much must have come: a stream that was cut off may have
  // brought anything up to that.
  if (by_handler) {
    outcome.matches = outcome.status.ok() == !script_.fails;
    // A stream that was left unread is not judged: the rest may have come or not.
    if (wishes_.kind != Kind::kAdd && tally_.whole) {
      const int64_t expected =
          wishes_.kind == Kind::kList ? script_.ToBeListed() : script_.ToBeTalked();
      outcome.matches &= tally_.received == expected;
    }
  }
  return outcome;
}

StreamOutcome StreamCaller::EndedWithSum(const absl::StatusOr<RowSum>& sum) {
  StreamOutcome outcome = Ended(sum.status());
  if (!sum.ok()) return outcome;
  RowSum expected;
  // The handler may stop reading early, so not all that was sent counts.
  for (int64_t i = 0; i < script_.ToBeRead(); ++i) AddToSum(script_.Request(i), &expected);
  outcome.matches &= sum->rows() == expected.rows() && sum->total() == expected.total() &&
                     sum->bytes() == expected.bytes();
  return outcome;
}

// ---- blocking

StreamOutcome StreamCaller::Block() {
  switch (wishes_.kind) {
    case Kind::kAdd:
      return BlockOnAdd();
    case Kind::kList:
      return BlockOnList();
    case Kind::kTalk:
      return in_turn() ? TalkInTurn() : BlockOnTalk();
  }
  std::abort();
}

StreamOutcome StreamCaller::BlockOnAdd() {
  adding_.emplace(stub_.Add(options_));
  for (; tally_.sent < script_.requests; ++tally_.sent) {
    if (AtMidway(tally_.sent, Midway::kCancel)) adding_->Cancel();
    if (AtMidway(tally_.sent, Midway::kDrop)) return Dropped();
    if (!adding_->Write(script_.Request(tally_.sent))) break;
    Linger(wishes_.slow);
  }
  return EndedWithSum(adding_->Finish());
}

StreamOutcome StreamCaller::BlockOnList() {
  list_.emplace(stub_.List(RowQuery(), options_));
  for (;;) {
    if (AtMidway(tally_.received, Midway::kCancel)) list_->Cancel();
    if (AtMidway(tally_.received, Midway::kDrop)) return Dropped();
    if (!list_->Read(&in_)) {
      tally_.whole = true;
      break;
    }
    if (!TakeReply(tally_.received)) break;
    Linger(wishes_.slow);
  }
  return Ended(list_->Finish());
}

StreamOutcome StreamCaller::BlockOnTalk() {
  talk_.emplace(stub_.Talk(options_));
  // A thread of its own: where both only wrote, both windows would fill, and both ends wait for
  // ever.
  std::thread writer;
  // With kFinish the script has no requests.
  if (wishes_.at_midway != Midway::kFinish) {
    writer = std::thread([this] {
      for (; tally_.sent < script_.requests; ++tally_.sent) {
        if (AtMidway(tally_.sent, Midway::kCancel)) talk_->Cancel();
        if (!talk_->Write(script_.Request(tally_.sent))) return;
      }
      talk_->HalfClose();
    });
  }
  for (;;) {
    if (!talk_->Read(&in_)) {
      tally_.whole = true;
      break;
    }
    if (!TakeReply(tally_.received)) break;
    Linger(wishes_.slow);
  }
  if (writer.joinable()) writer.join();
  return Ended(talk_->Finish());
}

StreamOutcome StreamCaller::TalkInTurn() {
  talk_.emplace(stub_.Talk(options_));
  while (tally_.sent < script_.requests) {
    if (AtMidway(tally_.sent, Midway::kDrop)) return Dropped();
    if (!talk_->Write(script_.Request(tally_.sent))) break;
    ++tally_.sent;
    if (!talk_->Read(&in_)) break;
    TakeReply(tally_.received);
  }
  talk_->HalfClose();
  while (talk_->Read(&in_)) TakeReply(tally_.received);
  tally_.whole = true;
  return Ended(talk_->Finish());
}

// ---- callbacks

void StreamCaller::BeginCallbacks(Done done) {
  done_ = std::move(done);
  switch (wishes_.kind) {
    case Kind::kAdd:
      adding_.emplace(stub_.Add(options_));
      return WriteAdding();
    case Kind::kList:
      list_.emplace(stub_.List(RowQuery(), options_));
      return ReadListed();
    case Kind::kTalk:
      talk_.emplace(stub_.Talk(options_));
      // Before the parts begin, as one may end at once. The last to end finishes the stream.
      parts_.store(in_turn() ? 1 : 2);
      if (in_turn()) return TalkNext();
      WriteTalk();
      return ReadTalk();
  }
}

void StreamCaller::WriteAdding() {
  const auto self = shared_from_this();
  while (tally_.sent < script_.requests && !adding_->ended()) {
    if (AtMidway(tally_.sent, Midway::kCancel)) adding_->Cancel();
    if (AtMidway(tally_.sent, Midway::kDrop)) return done_(Dropped());
    if (adding_->TryWrite(script_.Request(tally_.sent))) {
      ++tally_.sent;
    } else {
      return adding_->OnReady([self] { self->WriteAdding(); });
    }
  }
  adding_->FinishAsync(
      [self](absl::StatusOr<RowSum> sum) { self->done_(self->EndedWithSum(sum)); });
}

void StreamCaller::ReadListed() {
  const auto self = shared_from_this();
  if (AtMidway(tally_.received, Midway::kCancel)) list_->Cancel();
  if (AtMidway(tally_.received, Midway::kDrop)) return done_(Dropped());
  list_->ReadAsync(&in_, [self](bool more) {
    if (!more) self->tally_.whole = true;
    if (more && self->TakeReply(self->tally_.received)) return self->ReadListed();
    self->list_->FinishAsync([self](absl::Status s) { self->done_(self->Ended(std::move(s))); });
  });
}

void StreamCaller::WriteTalk() {
  const auto self = shared_from_this();
  if (wishes_.at_midway == Midway::kFinish) return PartDone();
  while (tally_.sent < script_.requests && !talk_->ended()) {
    if (AtMidway(tally_.sent, Midway::kCancel)) talk_->Cancel();
    if (talk_->TryWrite(script_.Request(tally_.sent))) {
      ++tally_.sent;
    } else {
      return talk_->OnReady([self] { self->WriteTalk(); });
    }
  }
  talk_->HalfClose();
  PartDone();
}

void StreamCaller::ReadTalk() {
  talk_->ReadAsync(&in_, [self = shared_from_this()](bool more) {
    if (!more) self->tally_.whole = true;
    if (more && self->TakeReply(self->tally_.received)) return self->ReadTalk();
    self->PartDone();
  });
}

void StreamCaller::TalkNext() {
  const auto self = shared_from_this();
  if (AtMidway(tally_.sent, Midway::kDrop)) return done_(Dropped());
  if (tally_.sent < script_.requests && !talk_->ended()) {
    if (!talk_->TryWrite(script_.Request(tally_.sent))) {
      return talk_->OnReady([self] { self->TalkNext(); });
    }
    ++tally_.sent;
    return talk_->ReadAsync(&in_, [self](bool more) {
      if (more) self->TakeReply(self->tally_.received);
      self->TalkNext();
    });
  }
  talk_->HalfClose();
  ReadTalk();
}

void StreamCaller::PartDone() {
  if (parts_.fetch_sub(1) > 1) return;
  talk_->FinishAsync(
      [self = shared_from_this()](absl::Status s) { self->done_(self->Ended(std::move(s))); });
}

// ---- coroutines

void StreamCaller::BeginCoroutines(Done done) {
  const auto self = shared_from_this();
  // Nobody else may hold this object: the coroutines' ends keep it.
  const auto keep = [self](std::optional<int>, std::exception_ptr) {};
  done_ = std::move(done);
  if (wishes_.kind != Kind::kTalk || in_turn()) return Spawn(CoTell(Await()), keep);
  talk_.emplace(stub_.Talk(options_));
  parts_.store(2);
  Spawn(CoWriteTalk(), keep);
  Spawn(CoReadTalk(), keep);
}

Coro<StreamOutcome> StreamCaller::Await() {
  switch (wishes_.kind) {
    case Kind::kAdd:
      return AwaitAdd();
    case Kind::kList:
      return AwaitList();
    case Kind::kTalk:
      return AwaitTalk();
  }
  std::abort();
}

Coro<int> StreamCaller::CoTell(Coro<StreamOutcome> call) {
  const StreamOutcome outcome = co_await std::move(call);
  done_(outcome);
  co_return 0;
}

Coro<StreamOutcome> StreamCaller::AwaitAdd() {
  adding_.emplace(stub_.Add(options_));
  for (; tally_.sent < script_.requests; ++tally_.sent) {
    if (AtMidway(tally_.sent, Midway::kCancel)) adding_->Cancel();
    if (AtMidway(tally_.sent, Midway::kDrop)) co_return Dropped();
    // A member, since WriteCoro refers to the message until it is written.
    out_ = script_.Request(tally_.sent);
    const bool written = co_await adding_->WriteCoro(out_);
    if (!written) break;
  }
  const absl::StatusOr<RowSum> sum = co_await adding_->FinishCoro();
  co_return EndedWithSum(sum);
}

Coro<StreamOutcome> StreamCaller::AwaitList() {
  list_.emplace(stub_.List(RowQuery(), options_));
  for (;;) {
    if (AtMidway(tally_.received, Midway::kCancel)) list_->Cancel();
    if (AtMidway(tally_.received, Midway::kDrop)) co_return Dropped();
    const bool more = co_await list_->ReadCoro(&in_);
    if (!more) {
      tally_.whole = true;
      break;
    }
    if (!TakeReply(tally_.received)) break;
  }
  const absl::Status status = co_await list_->FinishCoro();
  co_return Ended(status);
}

Coro<StreamOutcome> StreamCaller::AwaitTalk() {
  talk_.emplace(stub_.Talk(options_));
  while (tally_.sent < script_.requests) {
    if (AtMidway(tally_.sent, Midway::kDrop)) co_return Dropped();
    out_ = script_.Request(tally_.sent);
    const bool written = co_await talk_->WriteCoro(out_);
    if (!written) break;
    ++tally_.sent;
    const bool more = co_await talk_->ReadCoro(&in_);
    if (!more) break;
    TakeReply(tally_.received);
  }
  talk_->HalfClose();
  while (!tally_.whole) {
    const bool more = co_await talk_->ReadCoro(&in_);
    tally_.whole = !more;
    if (more) TakeReply(tally_.received);
  }
  const absl::Status status = co_await talk_->FinishCoro();
  co_return Ended(status);
}

Coro<int> StreamCaller::CoWriteTalk() {
  const bool writes = wishes_.at_midway != Midway::kFinish;
  for (; writes && tally_.sent < script_.requests; ++tally_.sent) {
    if (AtMidway(tally_.sent, Midway::kCancel)) talk_->Cancel();
    out_ = script_.Request(tally_.sent);
    const bool written = co_await talk_->WriteCoro(out_);
    if (!written) break;
  }
  if (writes) talk_->HalfClose();
  PartDone();
  co_return 0;
}

Coro<int> StreamCaller::CoReadTalk() {
  for (;;) {
    const bool more = co_await talk_->ReadCoro(&in_);
    if (!more) {
      tally_.whole = true;
      break;
    }
    if (!TakeReply(tally_.received)) break;
  }
  if (parts_.fetch_sub(1) > 1) co_return 0;
  const absl::Status status = co_await talk_->FinishCoro();
  done_(Ended(status));
  co_return 0;
}

}  // namespace weft::test
