// Who a peer says it is reaches the host before anything else of the peer does, and the host may
// refuse it.
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/watched.h"
#include "weft/core/plain_transport.h"
#include "weft/core/runtime.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string Show(const HelloFacts& facts) {
  return absl::StrCat(facts.node, "@", facts.cluster, " ", facts.incarnation, " ",
                      facts.dial_number, " ", facts.slot, "/", facts.slots, " ", facts.token);
}

// Notes what it is told, in order; answers as the test says.
class Host final : public SessionHost {
 public:
  absl::Status OnHello(Session& session, const HelloFacts& peer, HelloFacts* own) override {
    said.push_back("hello " + Show(peer));
    *own = answer;
    if (in_hello) in_hello(session);
    return hello;
  }
  absl::Status OnIdentified(Session&, const ConnectedPeer& peer) override {
    said.push_back(absl::StrCat("identified ", peer.identity, " ", peer.node, "@", peer.cluster,
                                " ", peer.incarnation, " ", std::string(peer.protocol), " ",
                                peer.wire_version));
    return identified;
  }
  void OnUp(Session&) override {
    said.push_back("up");
    settled.Notify();
  }
  void OnGoingAway(Session&, const absl::Status& why) override {
    said.push_back("going away: " + why.ToString());
  }
  void OnEnded(Session&, CloseReason reason, const absl::Status&) override {
    said.push_back(absl::StrCat("ended ", static_cast<int>(reason)));
    settled.Notify();
    ended.Notify();
  }
  void Authenticate(Session&, std::string_view token, Verdict verdict) override {
    said.push_back("authenticate " + std::string(token));
    verdict(std::string("somebody"));
  }
  void CountLateReply() override {}

  HelloFacts answer;
  absl::Status hello, identified;
  std::function<void(Session&)> in_hello;
  std::vector<std::string> said;
  Notification settled;  // up, or ended
  Notification ended;
};

class HelloFactsTest : public testing::Test {
 protected:
  HelloFactsTest() : runtime_(*Runtime::Create()) {
    dialed_.node = "a";
    dialed_.cluster = "east";
    dialed_.incarnation = 7;
    dialed_.dial_number = 9;
    dialed_.slot = 1;
    dialed_.slots = 2;
    dialed_.token = "sesame";
  }
  ~HelloFactsTest() override {
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
    EXPECT_TRUE(accepts_.settled.Wait());
    EXPECT_TRUE(dials_.settled.Wait());
  }
  std::unique_ptr<NativeSession> Make(Socket socket, Host& host, bool dialer) {
    NativeSessionOptions options;
    options.dialer = dialer;
    options.limits = std::make_shared<const SessionLimits>();
    if (dialer) options.own = dialed_;
    return std::make_unique<NativeSession>(runtime_->loops().At(0), host, nullptr, nullptr,
                                           std::make_unique<PlainTransport>(std::move(socket)),
                                           "the other", std::move(options));
  }

  std::shared_ptr<Runtime> runtime_;
  HelloFacts dialed_;
  Host accepts_, dials_;
  std::unique_ptr<NativeSession> dialer_, acceptor_;
};

TEST_F(HelloFactsTest, ReachTheHostsBeforeAnythingElse) {
  accepts_.answer.node = "b";
  accepts_.answer.incarnation = 11;
  Connect();
  EXPECT_THAT(accepts_.said, ElementsAre("hello a@east 7 9 1/2 sesame", "authenticate sesame",
                                         "identified somebody a@east 7 native 1", "up"));
  EXPECT_THAT(dials_.said, ElementsAre("hello b@ 11 0 0/0 ", "authenticate ",
                                       "identified somebody b@ 11 native 1", "up"));
}

TEST_F(HelloFactsTest, AHostThatRefusesThemTellsThePeerAndAsksNobody) {
  accepts_.hello = absl::FailedPreconditionError("this is cluster west");
  Connect();
  EXPECT_TRUE(accepts_.ended.Wait());
  EXPECT_TRUE(dials_.ended.Wait());
  EXPECT_THAT(accepts_.said,
              ElementsAre("hello a@east 7 9 1/2 sesame",
                          absl::StrCat("ended ", static_cast<int>(CloseReason::kUnauthenticated))));
  EXPECT_THAT(dials_.said,
              testing::Contains(AllOf(HasSubstr("going away"), HasSubstr("FAILED_PRECONDITION"),
                                      HasSubstr("this is cluster west"))));
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
              ElementsAre("hello a@east 7 9 1/2 sesame",
                          absl::StrCat("ended ", static_cast<int>(CloseReason::kLocal))));
}

}  // namespace
}  // namespace weft::native
