// The facts of a peer's Hello reach the host before anything else of the peer does, and the host
// may refuse the peer.
#include <fcntl.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"
#include "weft/core/plain_transport.h"
#include "weft/core/runtime.h"
#include "weft/rpc/protocol/native/hello.pb.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::internal::native {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string Show(const HelloFacts& facts) {
  return absl::StrCat(facts.node, "@", facts.cluster, " for ", facts.wanted_node, " ",
                      facts.incarnation, " ", facts.dial_number, " ", facts.last_dial, " ",
                      facts.slot, "/", facts.slots, " ", facts.token);
}

// Notes what it is told, in order; answers as the test says.
class Host final : public SessionHost {
 public:
  absl::Status OnHello(Session& session, const HelloFacts& peer, HelloFacts* own) override {
    said.push_back("hello " + Show(peer));
    if (!answers_late) *own = answer;
    if (in_hello) in_hello(session);
    return hello;
  }
  absl::Status OnIdentified(Session& session, const ConnectedPeer& peer, const HelloFacts& facts,
                            HelloFacts* own) override {
    EXPECT_EQ(facts.node, peer.node);
    EXPECT_EQ(facts.incarnation, peer.incarnation);
    EXPECT_EQ(own != nullptr, answers_late);
    if (own != nullptr) *own = answer;
    said.push_back(absl::StrCat("identified ", peer.identity, " ", peer.node, "@", peer.cluster,
                                " ", peer.incarnation, " ", std::string(peer.protocol), " ",
                                peer.wire_version));
    if (in_identified) in_identified(session);
    return identified;
  }
  void OnUp(Session&) override {
    said.push_back("up");
    settled.Notify();
  }
  void OnGoingAway(Session&, const absl::Status& why) override {
    said.push_back("going away: " + why.ToString());
  }
  void OnEnded(Session&, CloseReason reason, const absl::Status& why) override {
    said.push_back(absl::StrCat("ended ", static_cast<int>(reason)));
    ended_why = why;
    settled.Notify();
    ended.Notify();
  }
  void Authenticate(Session&, std::string_view token, Verdict verdict) override {
    said.push_back("authenticate " + std::string(token));
    held_verdict = std::move(verdict);
    if (judges) Judge();
    asked.Notify();
  }
  void Judge() {
    const Verdict verdict = std::exchange(held_verdict, nullptr);
    if (denial.ok()) {
      verdict(std::string("somebody"));
    } else {
      verdict(denial);
    }
  }
  void CountLateReply() override {}

  HelloFacts answer;
  bool answers_late = false;  // SessionConfig::hello_after_verdict
  bool judges = true;         // else the test calls Judge
  absl::Status hello, denial, identified;
  Verdict held_verdict;
  absl::Status ended_why;
  std::function<void(Session&)> in_hello, in_identified;
  std::vector<std::string> said;
  Notification asked;    // for a verdict
  Notification settled;  // up, or ended
  Notification ended;
};

// Two sessions over a socket pair, with a host each that notes what it is told; or one of them, and
// a peer that the test plays.
class HelloFactsTest : public testing::Test {
 protected:
  HelloFactsTest() : runtime_(*Runtime::Create({.clock = &clock_})) {
    // Each fact has a value of its own, so that two that are mixed up are seen.
    dialled_.node = "a";
    dialled_.cluster = "east";
    dialled_.incarnation = 7;
    dialled_.wanted_node = "b";
    dialled_.dial_number = 9;
    dialled_.last_dial = 8;
    dialled_.slot = 1;
    dialled_.slots = 2;
    dialled_.token = "sesame";
  }
  ~HelloFactsTest() override {
    // A session is destroyed in a later turn of the loop than the one that ends it.
    Run([this] {
      for (auto* session : {&dialer_, &acceptor_}) {
        if (*session != nullptr) {
          (*session)->Close(CloseReason::kLocal, absl::UnavailableError("the test is over"));
        }
      }
    });
    Run([this] {
      dialer_.reset();
      acceptor_.reset();
    });
  }

  void Run(const std::function<void()>& closure) {
    Notification done;
    runtime_->loops().At(0).loop->Post([&](TaskFate) {
      closure();
      done.Notify();
    });
    ASSERT_TRUE(done.Wait());
  }
  void Connect() {
    Run([this] {
      int fds[2];
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
      acceptor_ = Make(Socket(fds[0]), accepts_, false);
      dialer_ = Make(Socket(fds[1]), dials_, true);
      ASSERT_TRUE(acceptor_->Start().ok());
      ASSERT_TRUE(dialer_->Start().ok());
    });
    // Each side has come up, or was refused.
    EXPECT_TRUE(accepts_.settled.Wait());
    EXPECT_TRUE(dials_.settled.Wait());
  }
  // The accepting side alone; the test is the dialer.
  RawPeer Accept() {
    int fds[2] = {-1, -1};
    Run([&] {
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
      ASSERT_EQ(::fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
      acceptor_ = Make(Socket(fds[0]), accepts_, false);
      ASSERT_TRUE(acceptor_->Start().ok());
    });
    return RawPeer(fds[1]);
  }
  std::unique_ptr<NativeSession> Make(Socket socket, Host& host, bool dialer) {
    NativeSessionOptions options;
    options.dialer = dialer;
    options.hello_after_verdict = host.answers_late;
    options.limits = std::make_shared<const SessionLimits>();
    if (dialer) options.own = dialled_;
    return std::make_unique<NativeSession>(runtime_->loops().At(0), host, nullptr, nullptr,
                                           std::make_unique<PlainTransport>(std::move(socket)),
                                           "the other", std::move(options));
  }

  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_;
  HelloFacts dialled_;
  Host accepts_, dials_;
  std::unique_ptr<NativeSession> dialer_, acceptor_;
};

TEST_F(HelloFactsTest, ReachTheHostsBeforeAnythingElse) {
  accepts_.answer.node = "b";
  accepts_.answer.incarnation = 11;
  Connect();
  EXPECT_THAT(accepts_.said,
              ElementsAre("hello a@east for b 7 9 8 1/2 sesame", "authenticate sesame",
                          "identified somebody a@east 7 native 1", "up"));
  // The dialer's host is asked in the same order; the acceptor has no token.
  EXPECT_THAT(dials_.said, ElementsAre("hello b@ for  11 0 0 0/0 ", "authenticate ",
                                       "identified somebody b@ 11 native 1", "up"));
}

TEST_F(HelloFactsTest, AHostThatRefusesThemTellsThePeerAndAsksNobody) {
  accepts_.hello = absl::FailedPreconditionError("this is cluster west");
  Connect();
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_TRUE(dials_.ended.Wait());
  EXPECT_THAT(accepts_.said,
              ElementsAre("hello a@east for b 7 9 8 1/2 sesame",
                          absl::StrCat("ended ", static_cast<int>(CloseReason::kUnauthenticated))));
  // The text names the peer as Make does, and repeats the host's words.
  EXPECT_EQ(dials_.ended_why,
            absl::FailedPreconditionError("the peer refuses this side: this is cluster west"));
}

TEST_F(HelloFactsTest, AHostMayRefuseWhomItHasIdentified) {
  accepts_.identified = absl::PermissionDeniedError("somebody is not a");
  Connect();
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_TRUE(dials_.ended.Wait());
  EXPECT_THAT(accepts_.said, Not(testing::Contains("up")));
  EXPECT_THAT(dials_.said, testing::Contains(AllOf(HasSubstr("PERMISSION_DENIED"),
                                                   HasSubstr("somebody is not a"))));
}

TEST_F(HelloFactsTest, ADialersHostMayRefuseToo) {
  // The acceptor may be up by then: it has judged the dialer before its answer was read.
  dials_.hello = absl::FailedPreconditionError("not the node that was dialled");
  Connect();
  EXPECT_TRUE(dials_.ended.Wait());
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_THAT(dials_.said, Not(testing::Contains("up")));
}

TEST_F(HelloFactsTest, AHostMayCloseTheSessionInside) {
  accepts_.in_hello = [](Session& session) {
    session.Close(CloseReason::kLocal, absl::UnavailableError("not now"));
  };
  Connect();
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_TRUE(dials_.ended.Wait());
  EXPECT_THAT(accepts_.said,
              ElementsAre("hello a@east for b 7 9 8 1/2 sesame",
                          absl::StrCat("ended ", static_cast<int>(CloseReason::kLocal))));
}

// A dialer that says all that it may say at once.
std::string Stranger() {
  return raw::Opening({.token = "sesame"}) + raw::Ping(5) + raw::Request({.id = 1});
}

enum class By : uint8_t { kHello, kVerdict, kIdentified };

// By which step the peer is refused, and if this side's Hello waits for the verdict.
class RefusedPeer : public HelloFactsTest,
                    public testing::WithParamInterface<std::tuple<By, bool>> {
 protected:
  RefusedPeer() {
    const absl::Status no = absl::AlreadyExistsError("there is one already");
    by_ = std::get<0>(GetParam());
    accepts_.answers_late = std::get<1>(GetParam());
    accepts_.answer.node = "the-node";
    accepts_.answer.token = "the-token";
    if (by_ == By::kHello) accepts_.hello = no;
    if (by_ == By::kVerdict) accepts_.denial = no;
    if (by_ == By::kIdentified) accepts_.identified = no;
  }
  // True if the peer learns the name of the node that refused it.
  bool tells() const { return by_ != By::kHello && !accepts_.answers_late; }

  By by_;
};

TEST_P(RefusedPeer, GetsAHelloThenTheReasonAndNoWordOfThisSide) {
  RawPeer peer = Accept();
  peer.Send(Stranger());
  EXPECT_EQ(peer.Read(8), raw::Preface());
  std::optional<RawFrame> frame = peer.ReadFrame();
  ASSERT_TRUE(frame.has_value());
  ASSERT_EQ(frame->header.type, FrameType::kHello);
  Hello hello;
  ASSERT_TRUE(hello.ParseFromString(frame->body));
  // A Hello comes in any case, for the peer reads nothing before it. A refusing Hello says nothing
  // else.
  EXPECT_EQ(hello.refused(), !tells());
  EXPECT_EQ(hello.auth_token(), tells() ? "the-token" : "");
  EXPECT_EQ(hello.node(), tells() ? "the-node" : "");
  bool gone = false;
  while ((frame = peer.ReadFrame()).has_value()) {
    EXPECT_FALSE(gone) << "behind the GOAWAY";
    EXPECT_THAT(frame->body, Not(HasSubstr("the-")));
    if (frame->header.type != FrameType::kGoAway) continue;
    gone = true;
    EXPECT_EQ(frame->header.id, 0u);
    EXPECT_EQ(frame->header.aux, static_cast<int>(absl::StatusCode::kAlreadyExists));
    EXPECT_EQ(frame->body, "there is one already");
  }
  EXPECT_TRUE(gone);
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_THAT(accepts_.said, Not(testing::Contains("up")));
  EXPECT_EQ(accepts_.said.back(),
            absl::StrCat("ended ", static_cast<int>(CloseReason::kUnauthenticated)));
}

TEST_P(RefusedPeer, IsToldTheReasonAsItsEnd) {
  Connect();
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_TRUE(dials_.ended.Wait());
  // This side's Hello has gone out then, so the dialer may have been up for a moment.
  if (tells()) return;
  EXPECT_THAT(dials_.said,
              ElementsAre(absl::StrCat("ended ", static_cast<int>(CloseReason::kGoAway))));
  EXPECT_EQ(dials_.ended_why,
            absl::AlreadyExistsError("the peer refuses this side: there is one already"));
}

std::string NameOf(const testing::TestParamInfo<std::tuple<By, bool>>& way) {
  const char* const by[] = {"ByHello", "ByVerdict", "ByIdentified"};
  return std::string(by[static_cast<size_t>(std::get<0>(way.param))]) +
         (std::get<1>(way.param) ? "BeforeThisHello" : "");
}

INSTANTIATE_TEST_SUITE_P(
    Ways, RefusedPeer,
    testing::Combine(testing::Values(By::kHello, By::kVerdict, By::kIdentified), testing::Bool()),
    NameOf);

TEST_F(HelloFactsTest, AnAcceptorMayAnswerWhenThePeerIsKnown) {
  accepts_.answers_late = true;
  accepts_.answer.node = "b";
  Connect();
  EXPECT_THAT(accepts_.said,
              ElementsAre("hello a@east for b 7 9 8 1/2 sesame", "authenticate sesame",
                          "identified somebody a@east 7 native 1", "up"));
  EXPECT_THAT(dials_.said, ElementsAre("hello b@ for  0 0 0 0/0 ", "authenticate ",
                                       "identified somebody b@ 0 native 1", "up"));
}

// Neither its Hello nor the answer to a PING leaves before the verdict.
TEST_F(HelloFactsTest, AnAcceptorThatWaitsForTheVerdictIsSilent) {
  accepts_.answers_late = true;
  accepts_.judges = false;
  RawPeer peer = Accept();
  peer.Send(Stranger());
  ASSERT_TRUE(accepts_.asked.Wait());
  Run([this] {
    // The peer's Hello was read, and with it the PING that stands behind it.
    EXPECT_EQ(acceptor_->gauge()->Volume().bytes_out, 0u);
    accepts_.Judge();
  });
  EXPECT_EQ(peer.Read(8), raw::Preface());
  for (const FrameType type : {FrameType::kHello, FrameType::kPing, FrameType::kResponse}) {
    const std::optional<RawFrame> frame = peer.ReadFrame();
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->header.type, type);
  }
}

TEST_F(HelloFactsTest, AVerdictThatAHelloWaitsForComesWithinTheTimeForTheHandshake) {
  accepts_.answers_late = true;
  accepts_.judges = false;
  RawPeer peer = Accept();
  peer.Send(Stranger());
  ASSERT_TRUE(accepts_.asked.Wait());
  // The time for the handshake is 5 s by default.
  clock_.Advance(absl::Seconds(4));
  Run([this] { EXPECT_THAT(accepts_.said.back(), HasSubstr("authenticate")); });
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_EQ(accepts_.said.back(),
            absl::StrCat("ended ", static_cast<int>(CloseReason::kHandshakeTimeout)));
  EXPECT_EQ(peer.Read(8), raw::Preface());
  const std::optional<RawFrame> why = peer.ReadFrame(FrameType::kGoAway);
  ASSERT_TRUE(why.has_value());
  EXPECT_EQ(why->body, "no verdict on it within 5s");
}

// The acceptor's Hello is not sent then, and nothing of the peer is served.
TEST_F(HelloFactsTest, AHostMayEndTheSessionWhenItIdentifiesThePeer) {
  for (const bool at_once : {true, false}) {
    accepts_.answers_late = true;
    accepts_.answer.token = "the-token";
    accepts_.in_identified = [at_once](Session& session) {
      const absl::Status why = absl::UnavailableError("not now");
      if (at_once) {
        session.Close(CloseReason::kLocal, why);
      } else {
        session.CloseWhenWritten(CloseReason::kLocal, why, kLastWords);
      }
    };
    RawPeer peer = Accept();
    peer.Send(Stranger());
    // The end of the stream, without a byte before it.
    EXPECT_EQ(peer.Read(1), "");
    Run([this] {
      EXPECT_THAT(accepts_.said, Not(testing::Contains("up")));
      EXPECT_EQ(accepts_.said.back(),
                absl::StrCat("ended ", static_cast<int>(CloseReason::kLocal)));
      // The next round makes another one over a new pair of sockets.
      acceptor_.reset();
    });
  }
}

// A dialer hears that it is refused, and then nothing.
TEST_F(HelloFactsTest, ADialerWaitsForTheReasonWhyItIsRefused) {
  int fds[2] = {-1, -1};
  Run([&] {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ASSERT_EQ(::fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    dialer_ = Make(Socket(fds[0]), dials_, true);
    ASSERT_TRUE(dialer_->Start().ok());
  });
  RawPeer peer(fds[1]);
  // Field 23 says that the dialer is refused. The GOAWAY with the reason does not follow.
  peer.Send(raw::Preface() + raw::Frame(0x10, 0, 0, 0, raw::HelloBody() + raw::Varint(23, 1)) +
            raw::Ping(5));
  EXPECT_EQ(peer.Read(8), raw::Preface());
  ASSERT_TRUE(peer.ReadFrame(FrameType::kPing).has_value());  // it has read the Hello
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(dials_.ended.Wait());
  EXPECT_THAT(dials_.said, ElementsAre(absl::StrCat(
                               "ended ", static_cast<int>(CloseReason::kHandshakeTimeout))));
  EXPECT_THAT(std::string(dials_.ended_why.message()),
              HasSubstr("no reason why it refuses this side within 5s"));
}

}  // namespace
}  // namespace weft::internal::native
