// The driver of a transport's handshake: over a fake that the test makes ready step by step, with
// every ending at every step; and between two real ends in memory.
#include "weft/core/transport_handshake.h"

#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/loop_thread.h"
#include "tests/support/step_transport.h"
#include "tests/support/watched.h"
#include "weft/core/in_process_transport.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Result = absl::StatusOr<std::unique_ptr<Transport>>;

// The script of a fake transport, and a record of the calls that it gets. The record outlives the
// transport; only the loop uses it.
struct FakeRecord {
  std::deque<Progress> steps;  // kDone when none are left
  absl::Status failure = absl::PermissionDeniedError("a wrong name");
  absl::Status unwatched = absl::OkStatus();  // the reason why no watch can be had
  int handshakes = 0, watches = 0, bytes_asked_for = 0;
  bool destroyed = false;
  // These three are the state of the fake's watch.
  WatchEvents* events = nullptr;
  bool reading = false, writing = false;
};

class FakeWatch final : public Watch {
 public:
  explicit FakeWatch(FakeRecord& record) : record_(record) {}
  ~FakeWatch() override { Stop(); }
  void WatchRead(bool on) override { record_.reading = on; }
  void WatchWrite(bool on) override { record_.writing = on; }
  void Stop() override {
    EXPECT_FALSE(record_.destroyed) << "stopped before its transport goes";
    record_.events = nullptr;
    record_.reading = record_.writing = false;
  }
  void SetEvents(WatchEvents* events) override { record_.events = events; }

 private:
  FakeRecord& record_;
};

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(FakeRecord& record) : record_(record) {}
  ~FakeTransport() override { record_.destroyed = true; }

  Progress Handshake(absl::Status* why) override {
    ++record_.handshakes;
    if (record_.steps.empty()) return Progress::kDone;
    const Progress progress = record_.steps.front();
    record_.steps.pop_front();
    if (progress == Progress::kFailed) *why = record_.failure;
    return progress;
  }
  ssize_t Read(const iovec*, int) override { return Nothing(); }
  ssize_t Write(const iovec*, int) override { return Nothing(); }
  void ShutDown() override {}
  absl::StatusOr<std::unique_ptr<Watch>> NewWatch(EventLoop&, WatchEvents* events) override {
    ++record_.watches;
    if (!record_.unwatched.ok()) return record_.unwatched;
    record_.events = events;
    return std::make_unique<FakeWatch>(record_);
  }
  bool AnyThreadMayWrite() const override { return true; }

 private:
  ssize_t Nothing() {
    ++record_.bytes_asked_for;
    errno = EAGAIN;
    return -1;
  }
  FakeRecord& record_;
};

class TransportHandshakeTest : public testing::Test {
 protected:
  TransportHandshakeTest() {
    thread_.Run([this] { handshake_ = std::make_unique<TransportHandshake>(thread_.loop()); });
  }
  ~TransportHandshakeTest() override {
    thread_.Run([this] {
      handshake_.reset();
      result_.reset();
    });
    thread_.Settle();
  }

  void StartOnLoop(HandshakeRole role = HandshakeRole::kDialer, Nanos limit = milliseconds(100)) {
    handshake_->Start(std::make_unique<FakeTransport>(record_), role, "10.0.0.7:80",
                      limit == Nanos::max() ? kNever : clock_.Now() + limit, [this](Result result) {
                        ++ends_;
                        timed_out_ = handshake_ != nullptr && handshake_->timed_out();
                        result_ = std::move(result);
                      });
    EXPECT_EQ(ends_, 0) << "nothing is told inside Start";
  }
  void Start() {
    thread_.Run([this] { StartOnLoop(); });
    thread_.Settle();
  }
  // Tells the driver that the event it watches for has come.
  void BeReady() {
    thread_.Run([this] {
      ASSERT_NE(record_.events, nullptr);
      ASSERT_NE(record_.reading, record_.writing) << "it waits for one of the two";
      record_.reading ? record_.events->OnReadable() : record_.events->OnWritable();
    });
  }
  absl::Status End() {
    EXPECT_EQ(ends_, 1);
    return result_.has_value() ? result_->status() : absl::UnknownError("it has not ended");
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  FakeRecord record_;
  std::unique_ptr<TransportHandshake> handshake_;
  int ends_ = 0;
  bool timed_out_ = false;
  std::optional<Result> result_;
};

TEST_F(TransportHandshakeTest, ThatIsDoneAtOnceCostsNoWatchAndNoByte) {
  thread_.Run([this] {
    const int64_t wakes = thread_.loop().counts().wakes;
    StartOnLoop();
    EXPECT_EQ(thread_.loop().counts().wakes, wakes) << "nor a byte in the loop's own pipe";
  });
  thread_.Settle();
  EXPECT_TRUE(End().ok()) << End();
  EXPECT_NE(dynamic_cast<FakeTransport*>(result_->value().get()), nullptr);
  EXPECT_EQ(record_.handshakes, 1);
  EXPECT_EQ(record_.watches, 0);
  EXPECT_EQ(record_.bytes_asked_for, 0);
}

TEST_F(TransportHandshakeTest, TellsNothingInsideStart) {
  record_.steps = {Progress::kFailed};
  Start();
  EXPECT_EQ(End().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(TransportHandshakeTest, OfATransportThatCannotBeWatchedFails) {
  record_.steps = {Progress::kWantRead};
  record_.unwatched = absl::ResourceExhaustedError("no watch is left");
  Start();
  EXPECT_EQ(End().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(End().message()), HasSubstr("no watch is left"));
}

TEST_F(TransportHandshakeTest, OfNoTransportFails) {
  thread_.Run([this] {
    handshake_->Start(nullptr, HandshakeRole::kDialer, "10.0.0.7:80", kNever, [this](Result r) {
      ++ends_;
      result_ = std::move(r);
    });
    EXPECT_EQ(ends_, 0);
  });
  thread_.Settle();
  EXPECT_THAT(std::string(End().message()), HasSubstr("the transport factory made no transport"));
}

TEST_F(TransportHandshakeTest, WatchesForWhatTheTransportWants) {
  record_.steps = {Progress::kWantRead, Progress::kWantWrite, Progress::kWantWrite,
                   Progress::kWantRead};
  Start();
  for (const bool reads : {true, false, false, true}) {
    EXPECT_EQ(record_.reading, reads);
    EXPECT_EQ(record_.writing, !reads);
    EXPECT_EQ(ends_, 0);
    BeReady();
  }
  EXPECT_TRUE(End().ok()) << End();
  EXPECT_EQ(record_.watches, 1) << "one for all steps";
  EXPECT_EQ(record_.handshakes, 5);
  EXPECT_EQ(record_.events, nullptr) << "and it has gone";
}

TEST_F(TransportHandshakeTest, TakesNoStepForAnEventThatItDoesNotWaitFor) {
  record_.steps = {Progress::kWantRead, Progress::kWantWrite};
  Start();
  // This is the event of the other direction. A watch may still tell it in the turn in which it was
  // switched off.
  thread_.Run([this] { record_.events->OnWritable(); });
  EXPECT_EQ(record_.handshakes, 1);
  BeReady();
  thread_.Run([this] { record_.events->OnReadable(); });
  EXPECT_EQ(record_.handshakes, 2);
  BeReady();
  EXPECT_TRUE(End().ok()) << End();
}

TEST_F(TransportHandshakeTest, SaysPhasePeerSideCauseAndTime) {
  record_.steps = {Progress::kWantRead, Progress::kFailed};
  Start();
  // The time in the text is taken from the manual clock.
  thread_.Advance(milliseconds(12));
  BeReady();
  EXPECT_EQ(End().message(),
            "transport handshake (dialled): a wrong name (to 10.0.0.7:80, after 12.0 ms)");
}

TEST_F(TransportHandshakeTest, SaysWhichSideItWas) {
  record_.steps = {Progress::kFailed};
  thread_.Run([this] { StartOnLoop(HandshakeRole::kListener); });
  thread_.Settle();
  EXPECT_THAT(std::string(End().message()), StartsWith("transport handshake (accepted): "));
}

TEST_F(TransportHandshakeTest, SaysOfATimeThatIsUpWhatItWaitedFor) {
  for (const auto& [step, text] : {std::pair(Progress::kWantRead, "has not answered in time"),
                                   std::pair(Progress::kWantWrite, "has not read in time")}) {
    record_ = FakeRecord();
    record_.steps = {step};
    ends_ = 0;
    Start();
    thread_.Advance(milliseconds(100));
    EXPECT_THAT(std::string(End().message()), HasSubstr(text));
    EXPECT_THAT(std::string(End().message()), HasSubstr("(to 10.0.0.7:80, after 100.0 ms)"));
  }
}

TEST_F(TransportHandshakeTest, WithoutADeadlineWaitsOn) {
  record_.steps = {Progress::kWantRead};
  thread_.Run([this] { StartOnLoop(HandshakeRole::kDialer, Nanos::max()); });
  thread_.Advance(std::chrono::hours(1000));
  EXPECT_EQ(ends_, 0);
  // The handshake still goes on after that time.
  BeReady();
  EXPECT_TRUE(End().ok()) << End();
}

TEST_F(TransportHandshakeTest, ThatIsDoneHasNoDeadlineAnyMore) {
  record_.steps = {Progress::kWantRead};
  Start();
  BeReady();
  // The limit of 100 ms passes.
  thread_.Advance(milliseconds(200));
  EXPECT_TRUE(End().ok()) << End();
}

TEST_F(TransportHandshakeTest, ANewOneCancelsTheLast) {
  // The first handshake waits for its peer, or its end is posted already.
  for (const bool waits : {true, false}) {
    record_ = FakeRecord();
    if (waits) record_.steps = {Progress::kWantRead};
    ends_ = 0;
    FakeRecord second;
    thread_.Run([&] {
      StartOnLoop();
      handshake_->Start(std::make_unique<FakeTransport>(second), HandshakeRole::kDialer, "second",
                        kNever, [&](Result result) {
                          ++ends_;
                          result_ = std::move(result);
                        });
      // The second Start has destroyed the first transport, and nobody is told of its end.
      EXPECT_TRUE(record_.destroyed);
    });
    thread_.Settle();
    EXPECT_TRUE(End().ok()) << End();
    EXPECT_FALSE(second.destroyed);
    thread_.Run([this] { result_.reset(); });
  }
}

// Every way to end is tried after one to three waits, with a wait of either kind as the last one.
enum class Ending { kDone, kFailed, kDeadline, kUnwatched, kCancelled, kDestroyed };
class EachEnding : public TransportHandshakeTest,
                   public testing::WithParamInterface<std::tuple<int, Progress, Ending>> {};

TEST_P(EachEnding, IsToldOnceAtAnyStep) {
  const auto [waits, last, ending] = GetParam();
  for (int i = 0; i < waits; ++i) {
    // The two kinds take turns, in such a way that the last one is `last`.
    const bool other = (waits - i) % 2 == 0;
    record_.steps.push_back(other == (last == Progress::kWantRead) ? Progress::kWantWrite
                                                                   : Progress::kWantRead);
  }
  ASSERT_EQ(record_.steps.back(), last);
  if (ending == Ending::kFailed) record_.steps.push_back(Progress::kFailed);
  Start();
  for (int i = 1; i < waits; ++i) BeReady();
  EXPECT_EQ(ends_, 0);
  switch (ending) {
    case Ending::kDone:
    case Ending::kFailed:
      BeReady();
      break;
    case Ending::kDeadline:
      thread_.Advance(milliseconds(100) - Nanos(1));
      EXPECT_EQ(ends_, 0);
      thread_.Advance(Nanos(1));
      break;
    case Ending::kUnwatched:
      thread_.Run([this] { record_.events->OnWatchFailed(absl::UnavailableError("epoll")); });
      break;
    case Ending::kCancelled:
      thread_.Run([this] { handshake_->Cancel(); });
      break;
    case Ending::kDestroyed:
      thread_.Run([this] { handshake_.reset(); });
      break;
  }
  // No second end may come, be it by the deadline or by a task that was posted.
  thread_.Advance(milliseconds(200));
  EXPECT_EQ(record_.events, nullptr);
  EXPECT_EQ(record_.destroyed, ending != Ending::kDone);
  if (ending == Ending::kCancelled || ending == Ending::kDestroyed) {
    EXPECT_EQ(ends_, 0);
    return;
  }
  const absl::Status end = End();
  EXPECT_EQ(timed_out_, ending == Ending::kDeadline);
  EXPECT_EQ(end.code(), ending == Ending::kDone     ? absl::StatusCode::kOk
                        : ending == Ending::kFailed ? absl::StatusCode::kPermissionDenied
                                                    : absl::StatusCode::kUnavailable);
}

INSTANTIATE_TEST_SUITE_P(
    TransportHandshake, EachEnding,
    testing::Combine(testing::Values(1, 2, 3),
                     testing::Values(Progress::kWantRead, Progress::kWantWrite),
                     testing::Values(Ending::kDone, Ending::kFailed, Ending::kDeadline,
                                     Ending::kUnwatched, Ending::kCancelled, Ending::kDestroyed)));

TEST_F(TransportHandshakeTest, APostedEndReachesNobodyThatHasGone) {
  for (const bool destroy : {false, true}) {
    record_ = FakeRecord();
    thread_.Run([&] {
      StartOnLoop();
      // The end was posted in this very turn.
      destroy ? handshake_.reset() : handshake_->Cancel();
      EXPECT_TRUE(record_.destroyed);
    });
    thread_.Settle();
    EXPECT_EQ(ends_, 0);
  }
}

// A loop that has never run is closed by the thread that drops it, which is not the loop's own.
TEST(ATransportHandshake, WhosePostedEndIsCancelledWithItsLoopTellsNobody) {
  FakeRecord record;
  int ends = 0;
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create(LoopThread::Options());
  ASSERT_TRUE(loop.ok()) << loop.status();
  auto handshake = std::make_unique<TransportHandshake>(**loop);
  handshake->Start(std::make_unique<FakeTransport>(record), HandshakeRole::kDialer, "10.0.0.7:80",
                   kNever, [&](Result) { ++ends; });
  EXPECT_EQ(record.handshakes, 1);
  handshake.reset();
  EXPECT_FALSE((*loop)->InLoop());
  loop->reset();
  EXPECT_EQ(ends, 0);
  EXPECT_TRUE(record.destroyed);
}

// A loop that has run is closed by its own thread, which cancels a task that was posted in the last
// turn.
TEST(ATransportHandshake, WhoseLoopStopsInTheSameTurnTellsNobody) {
  ManualClock clock;
  LoopThread thread(clock);
  FakeRecord record;
  int ends = 0;
  std::unique_ptr<TransportHandshake> handshake;
  thread.loop().Post([&](TaskFate) {
    handshake = std::make_unique<TransportHandshake>(thread.loop());
    handshake->Start(std::make_unique<FakeTransport>(record), HandshakeRole::kDialer, "10.0.0.7:80",
                     kNever, [&](Result) { ++ends; });
    thread.loop().Stop();
    // This task comes behind the end that Start has posted.
    thread.loop().Post([&](TaskFate fate) {
      EXPECT_EQ(fate, TaskFate::kCancelled);
      handshake.reset();
    });
  });
  thread.Stop();
  EXPECT_EQ(ends, 0);
  EXPECT_TRUE(record.destroyed);
}

TEST_F(TransportHandshakeTest, MayBeDestroyedInsideItsCallback) {
  for (const Ending ending : {Ending::kDone, Ending::kDeadline}) {
    for (const bool waits : {true, false}) {
      if (!waits && ending == Ending::kDeadline) continue;
      record_ = FakeRecord();
      if (waits) record_.steps = {Progress::kWantRead};
      bool ended = false;
      thread_.Run([&] {
        handshake_ = std::make_unique<TransportHandshake>(thread_.loop());
        handshake_->Start(std::make_unique<FakeTransport>(record_), HandshakeRole::kDialer, "peer",
                          clock_.Now() + milliseconds(100), [&](Result) {
                            // After this the driver may touch nothing of the handshake.
                            handshake_.reset();
                            ended = true;
                          });
      });
      thread_.Settle();
      if (ending == Ending::kDeadline) {
        thread_.Advance(milliseconds(100));
      } else if (waits) {
        BeReady();
      }
      EXPECT_TRUE(ended);
      EXPECT_TRUE(record_.destroyed);
    }
  }
}

// Both ends of a connection in memory, with the three steps of StepFactory.
class ThreeStepsTest : public testing::Test {
 protected:
  // 0 is the dialer, 1 the listener.
  struct End {
    std::unique_ptr<Transport> plain;
    std::unique_ptr<TransportHandshake> handshake;
    std::optional<Result> result;
  };

  ~ThreeStepsTest() override {
    thread_.Run([this] {
      for (End& end : ends_) end = End();
    });
    thread_.Settle();
  }
  void Open(size_t buffer = 1000) {
    auto pipe = std::make_shared<InProcessPipe>(0, buffer, ConnectionFaults(), clock_, clock_);
    ends_[0].plain = std::make_unique<InProcessTransport>(pipe, InProcessPipe::Side::kDialer);
    ends_[1].plain = std::make_unique<InProcessTransport>(pipe, InProcessPipe::Side::kListener);
  }
  void Start(int which, StepScript script, const std::string& read_ahead = "") {
    StepFactory factory(std::move(script));
    const HandshakeRole role = which == 0 ? HandshakeRole::kDialer : HandshakeRole::kListener;
    ReadAhead first;
    if (!read_ahead.empty()) {
      first.block = BlockRef::New(read_ahead.size());
      first.data = first.block->data();
      first.size = read_ahead.size();
      read_ahead.copy(first.block->data(), read_ahead.size());
    }
    End& end = ends_[which];
    std::unique_ptr<Transport> wrapped =
        factory.Wrap(std::move(end.plain), std::move(first), {.role = role});
    thread_.Run([&] {
      end.handshake = std::make_unique<TransportHandshake>(thread_.loop());
      end.handshake->Start(std::move(wrapped), role, "the other end",
                           clock_.Now() + milliseconds(100),
                           [&end](Result result) { end.result = std::move(result); });
    });
  }
  // Waits until both ends have a result, or the end `only`.
  void Settle(int only = -1) {
    bool ended = false;
    for (int i = 0; i < 100 && !ended; ++i) {
      thread_.Settle();
      thread_.Run([&] {
        ended = (only == 1 || ends_[0].result.has_value()) &&
                (only == 0 || ends_[1].result.has_value());
      });
    }
  }
  absl::Status Ended(int which) {
    if (!ends_[which].result) return absl::UnknownError("it has not ended");
    return ends_[which].result->status();
  }
  Transport& Done(int which) { return *ends_[which].result->value(); }
  std::string Read(int which) {
    char bytes[100];
    const iovec piece{bytes, sizeof(bytes)};
    const ssize_t n = Done(which).Read(&piece, 1);
    return n < 0 ? "" : std::string(bytes, static_cast<size_t>(n));
  }
  static void Write(Transport& transport, const std::string& bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    EXPECT_EQ(transport.Write(&piece, 1), static_cast<ssize_t>(bytes.size()));
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  std::array<End, 2> ends_;
};

TEST_F(ThreeStepsTest, GiveEachEndTheOthersName) {
  for (const size_t at_once : {SIZE_MAX, size_t{1}}) {
    // With a buffer of 2 bytes each step needs several writes, and both ends wait for room.
    for (const size_t buffer : {1000, 2}) {
      Open(buffer);
      Start(0, {.name = "ann", .bytes_at_once = at_once});
      Start(1, {.name = "bob", .bytes_at_once = at_once});
      Settle();
      ASSERT_TRUE(Ended(0).ok()) << Ended(0);
      ASSERT_TRUE(Ended(1).ok()) << Ended(1);
      EXPECT_THAT(Done(0).identity().names, ElementsAre("bob"));
      EXPECT_EQ(Done(1).identity().first_name(), "ann");
      Write(Done(0), "x");
      EXPECT_EQ(Read(1), "x");
      thread_.Run([this] {
        for (End& end : ends_) end = End();
      });
    }
  }
}

TEST_F(ThreeStepsTest, ThatFailOnOneSideFailOnBoth) {
  for (const int which : {0, 1}) {
    for (const int step : {0, 1, 2}) {
      Open();
      StepScript good{.name = "good"}, bad{.name = "bad", .fails_at = step};
      Start(0, which == 0 ? bad : good);
      Start(1, which == 1 ? bad : good);
      Settle();
      EXPECT_EQ(Ended(which).code(), absl::StatusCode::kUnauthenticated) << Ended(which);
      if (which == 1 && step == 2) {
        // The dialer had sent its last word before.
        EXPECT_TRUE(Ended(0).ok()) << Ended(0);
      } else {
        EXPECT_THAT(std::string(Ended(1 - which).message()), HasSubstr("the peer has gone"));
      }
      thread_.Run([this] {
        for (End& end : ends_) end = End();
      });
    }
  }
}

TEST_F(ThreeStepsTest, ThatStopHalfWayEndWhenTimeIsUp) {
  // The dialer stops before its first word, or before its last.
  for (const int step : {0, 2}) {
    Open();
    Start(0, {.name = "ann", .stops_at = step});
    Start(1, {.name = "bob"});
    thread_.Settle();
    EXPECT_FALSE(ends_[1].result.has_value());
    thread_.Advance(milliseconds(100));
    EXPECT_THAT(std::string(Ended(1).message()), HasSubstr("has not answered in time"));
    EXPECT_TRUE(ends_[1].handshake->timed_out());
    thread_.Run([this] {
      for (End& end : ends_) end = End();
    });
  }
}

TEST_F(ThreeStepsTest, BeginWithTheBytesThatWereReadAhead) {
  const std::string greeting = StepFactory::Greeting('A', "ann");
  // The bytes read ahead are the whole first step, a part of it, or more than it.
  for (const size_t ahead : {greeting.size(), size_t{1}, greeting.size() + 3}) {
    Open();
    // "xy" stands behind the handshake. Read must return it even where the handshake has read it.
    const std::string said = greeting + "Cxy";
    Start(1, {.name = "bob"}, said.substr(0, ahead));
    if (ahead < said.size()) Write(*ends_[0].plain, said.substr(ahead));
    Settle(/*only=*/1);
    ASSERT_TRUE(Ended(1).ok()) << Ended(1);
    EXPECT_EQ(Done(1).identity().first_name(), "ann");
    EXPECT_EQ(Read(1), "xy");
    thread_.Run([this] {
      for (End& end : ends_) end = End();
    });
  }
}

}  // namespace
}  // namespace weft::internal
