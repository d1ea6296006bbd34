// A channel's dialer over the in-process network, by a clock that the test moves. The test is the
// listening side and plays its part of a handshake.
#include "weft/rpc/client/dialer.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/step_transport.h"
#include "tests/support/watched.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Result = absl::StatusOr<std::unique_ptr<Transport>>;

// Dials "inproc:store", whose listener's end is the test's.
class DialerTest : public testing::Test {
 protected:
  DialerTest() {
    listener_ = *network_->Listen("store", clock_, [this](std::unique_ptr<Transport> end, auto) {
      accepted_ = std::move(end);
    });
  }
  ~DialerTest() override {
    thread_.Run([this] {
      dialer_.reset();
      result_.reset();
    });
    thread_.Settle();
  }
  void Start(std::shared_ptr<TransportFactory> factory, const std::string& target) {
    thread_.Run([&] {
      dialer_ = std::make_unique<Dialer>(
          thread_.loop(),
          DialerOptions{
              .network = network_, .transport = std::move(factory), .alpn = {}, .lost_after = {}});
      dialer_->Start(*HostPort::Parse(target), target, seconds(3), [this](Result result) {
        ++ends_;
        result_ = std::move(result);
      });
      EXPECT_EQ(ends_, 0) << "nothing is told inside Start";
    });
    thread_.Settle();
  }
  std::string Read() {
    char bytes[100];
    const iovec piece{bytes, sizeof(bytes)};
    // Empty: the other end has closed.
    const ssize_t n = accepted_->Read(&piece, 1);
    return n < 0 ? "nothing yet" : std::string(bytes, static_cast<size_t>(n));
  }
  void Say(const std::string& bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    EXPECT_EQ(accepted_->Write(&piece, 1), static_cast<ssize_t>(bytes.size()));
    thread_.Settle();
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create();
  std::unique_ptr<InProcessListener> listener_;
  std::unique_ptr<Transport> accepted_;
  std::unique_ptr<Dialer> dialer_;
  int ends_ = 0;
  std::optional<Result> result_;
};

TEST_F(DialerTest, WithoutAFactoryHandsOverWhatIsConnected) {
  Start(nullptr, "inproc:store");
  ASSERT_EQ(ends_, 1);
  ASSERT_TRUE(result_->ok()) << result_->status();
  EXPECT_EQ((**result_)->identity().first_name(), "");
  // No handshake, so no byte was sent.
  EXPECT_EQ(Read(), "nothing yet");
}

TEST_F(DialerTest, HandsOverATransportThatHasShakenHands) {
  Start(std::make_shared<StepFactory>(StepScript{.name = "ann"}), "inproc:store");
  EXPECT_EQ(ends_, 0);
  EXPECT_EQ(Read(), StepFactory::Greeting('A', "ann"));
  Say(StepFactory::Greeting('B', "bob"));
  ASSERT_EQ(ends_, 1);
  ASSERT_TRUE(result_->ok()) << result_->status();
  EXPECT_EQ((**result_)->identity().first_name(), "bob");
  // The dialer has said its last word, and has not waited for more.
  EXPECT_EQ(Read(), "C");
}

TEST_F(DialerTest, SaysWhyAConnectFailed) {
  Start(std::make_shared<StepFactory>(StepScript{.name = "ann"}), "inproc:nobody");
  ASSERT_EQ(ends_, 1);
  EXPECT_THAT(std::string(result_->status().message()),
              StartsWith("connect: nobody listens there (to inproc:nobody)"));
}

TEST_F(DialerTest, GivesAHandshakeTheRestOfTheTime) {
  Start(std::make_shared<StepFactory>(StepScript{.name = "ann"}), "inproc:store");
  // Connecting took no time, so the handshake has the whole limit.
  thread_.Advance(seconds(3) - Nanos(1));
  EXPECT_EQ(ends_, 0);
  thread_.Advance(Nanos(1));
  ASSERT_EQ(ends_, 1);
  EXPECT_THAT(std::string(result_->status().message()),
              HasSubstr("transport handshake (dialled): the peer has not "
                        "answered in time (to inproc:store, after 3000.0 ms)"));
}

TEST_F(DialerTest, CancelledDropsAConnectionThatShakesHands) {
  Start(std::make_shared<StepFactory>(StepScript{.name = "ann"}), "inproc:store");
  EXPECT_EQ(Read(), StepFactory::Greeting('A', "ann"));
  thread_.Run([this] { dialer_->Cancel(); });
  EXPECT_EQ(Read(), "") << "the other end sees it";
  // The limit passes: a timer left behind would call back.
  thread_.Advance(seconds(5));
  EXPECT_EQ(ends_, 0);
}

}  // namespace
}  // namespace weft::internal
