// The protocol of an accepted connection by its first bytes, over a socket pair and by a clock that
// the test moves.
#include "weft/rpc/protocol/sniffer.h"

#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "weft/core/manual_clock.h"
#include "weft/core/plain_transport.h"

namespace weft::internal {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Match Begins(std::string_view first, std::string_view with) {
  const size_t have = std::min(first.size(), with.size());
  if (first.substr(0, have) != with.substr(0, have)) return Match::kNo;
  return have < with.size() ? Match::kNeedMore : Match::kYes;
}

std::unique_ptr<Session> NoSession(SessionSeed, const SessionContext&) { return nullptr; }

// Asked in this order. "dials" cannot accept, "apple" may still match where "app" does already, and
// "endless" never decides.
constexpr Protocol kProtocols[] = {
    {.name = "dials", .match = [](std::string_view) { return Match::kYes; }, .dial = &NoSession},
    {.name = "apple",
     .match = [](std::string_view first) { return Begins(first, "apple"); },
     .accept = &NoSession},
    {.name = "app",
     .match = [](std::string_view first) { return Begins(first, "app"); },
     .accept = &NoSession},
    {.name = "endless",
     .match =
         [](std::string_view first) {
           EXPECT_LE(first.size(), Protocol::kMaxSniffed);
           return first.empty() || first[0] == 'e' ? Match::kNeedMore : Match::kNo;
         },
     .accept = &NoSession},
};

// A sniffer over one end of a socket pair. The test is the peer at the other end, and the host that
// is told the protocol. Time stands still but for the test.
class SnifferTest : public testing::Test, protected SnifferHost {
 protected:
  SnifferTest() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    here_ = Socket(fds[0]);
    peer_ = Socket(fds[1]);
    io_.loop = thread_.shared_loop();
    io_.arena = std::make_unique<InputArena>(thread_.loop().blocks());
  }
  ~SnifferTest() override {
    thread_.Run([this] {
      sniffer_.reset();
      watch_.reset();
      transport_.reset();
      io_.arena.reset();
    });
  }

  void Begin(Matcher wrapped = nullptr) {
    thread_.Run([this, wrapped] {
      SnifferHost& host = *this;
      sniffer_ = std::make_unique<Sniffer>(io_, host, SnifferTable{kProtocols, wrapped},
                                           std::make_unique<PlainTransport>(std::move(here_)),
                                           "the test", clock_.Now(), seconds(5));
      ASSERT_TRUE(sniffer_->Start().ok());
    });
  }
  // And lets the loop read it.
  void Send(std::string_view bytes) {
    ASSERT_EQ(::send(peer_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    thread_.Settle();
  }
  std::vector<std::string> said() {
    std::vector<std::string> copy;
    thread_.Run([&] { copy = said_; });
    return copy;
  }

  // SnifferHost
  void OnKnown(Sniffer&, const Protocol& protocol, SessionSeed seed, SessionStart start) override {
    said_.push_back(std::string(protocol.name));
    bytes_ = std::string(start.first_bytes.data, start.first_bytes.size);
    left_ = seed.handshake_left;
    EXPECT_EQ(seed.peer, "the test");
    watch_ = std::move(start.watch);
    transport_ = std::move(seed.transport);
    sniffer_.reset();
  }
  void OnTransport(Sniffer&, SessionSeed seed, ReadAhead first) override {
    said_.push_back("wrapped");
    bytes_ = std::string(first.data, first.size);
    transport_ = std::move(seed.transport);
    sniffer_.reset();
  }
  void OnFailed(Sniffer&, CloseReason reason, const absl::Status& why) override {
    said_.push_back(std::string(CloseReasonName(reason)) + ": " + std::string(why.message()));
    sniffer_.reset();
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  IoThread io_;
  Socket here_, peer_;
  std::unique_ptr<Sniffer> sniffer_;
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<Transport> transport_;
  std::vector<std::string> said_;
  std::string bytes_;
  Nanos left_{};
};

TEST_F(SnifferTest, HandsOnAllThatWasRead) {
  Begin();
  const std::string bytes = "apple" + std::string(10'000, 'x');
  Send(bytes);
  EXPECT_THAT(said(), ElementsAre("apple"));
  // Nothing is read twice: the session finds all of it in memory.
  EXPECT_EQ(bytes_, bytes);
}

TEST_F(SnifferTest, JoinsWhatComesByteByByte) {
  Begin();
  for (const char* c : {"a", "p", "p", "l"}) Send(c);
  // The row of "app" matches already, but the one before it may still.
  EXPECT_THAT(said(), IsEmpty());
  Send("e");
  EXPECT_THAT(said(), ElementsAre("apple"));
  EXPECT_EQ(bytes_, "apple");
}

TEST_F(SnifferTest, AsksForATransportBeforeAnyProtocol) {
  // "appe" begins as "apple" and "app" do: three bytes do not tell them apart.
  const Matcher ape = [](std::string_view first) { return Begins(first, "appe"); };
  Begin(ape);
  Send("app");
  EXPECT_THAT(said(), IsEmpty()) << "it may be either";
  Send("ears");
  EXPECT_THAT(said(), ElementsAre("wrapped"));
  EXPECT_EQ(bytes_, "appears");
}

TEST_F(SnifferTest, WithoutTheTransportGoesOnToTheProtocols) {
  const Matcher ape = [](std::string_view first) { return Begins(first, "appe"); };
  Begin(ape);
  Send("app");
  Send("le");
  EXPECT_THAT(said(), ElementsAre("apple"));
  EXPECT_EQ(bytes_, "apple");
}

TEST_F(SnifferTest, ARowThatNeedsMoreGoesBeforeThoseBehindIt) {
  Begin();
  Send("app");
  EXPECT_THAT(said(), IsEmpty());
  thread_.Advance(seconds(1));
  Send("ear");
  EXPECT_THAT(said(), ElementsAre("app"));
  EXPECT_EQ(bytes_, "appear");
  // The handshake gets what the sniffing has left of its 5 s.
  EXPECT_EQ(left_, seconds(4));
}

TEST_F(SnifferTest, LooksAtNoMoreThanTheFirstBytes) {
  Begin();
  // One byte less than kMaxSniffed: "endless" may ask for more.
  Send("e" + std::string(22, '.'));
  EXPECT_THAT(said(), IsEmpty());
  Send(std::string(100, '.'));
  EXPECT_THAT(said(), ElementsAre(HasSubstr("unknown protocol: connection closed: "
                                            "wrong preface: it begins with \"e...")));
}

TEST_F(SnifferTest, RefusesAtTheFirstByteThatIsNoProtocols) {
  Begin();
  // The first byte of a TLS record.
  Send("\x16");
  EXPECT_THAT(said(), ElementsAre(HasSubstr("it begins with \"\\x16\"")));
}

TEST_F(SnifferTest, WaitsNoLongerThanItsLimit) {
  Begin();
  thread_.Advance(seconds(6));
  EXPECT_THAT(said(), ElementsAre("no handshake in time: connection closed: nothing came "
                                  "within 5s (from the test)"));
}

TEST_F(SnifferTest, SaysThatTooLittleCame) {
  Begin();
  Send("app");
  thread_.Advance(seconds(6));
  EXPECT_THAT(said(), ElementsAre(HasSubstr("too few bytes to tell its protocol came within 5s")));
}

TEST_F(SnifferTest, TellsOfAPeerThatGoes) {
  Begin();
  peer_ = Socket();
  thread_.Settle();
  // Nothing had come, so nothing is at fault.
  EXPECT_THAT(said(), ElementsAre(HasSubstr("peer closed: ")));
}

TEST_F(SnifferTest, TellsOfAPeerThatGoesAfterAFewBytes) {
  Begin();
  Send("ap");
  peer_ = Socket();
  thread_.Settle();
  EXPECT_THAT(said(), ElementsAre(HasSubstr("before its protocol was known")));
}

TEST_F(SnifferTest, SaysNothingOnceItIsDestroyed) {
  Begin();
  thread_.Run([this] { sniffer_.reset(); });
  // A timer or a watch left behind would tell of the end of the time.
  thread_.Advance(seconds(6));
  EXPECT_THAT(said(), IsEmpty());
}

}  // namespace
}  // namespace weft::internal
