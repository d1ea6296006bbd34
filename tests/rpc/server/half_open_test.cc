// Accepted connections whose transport's handshake is under way. The handshake is the scripted one
// of StepTransport, over pipes of the process and a manual clock.
#include "weft/rpc/server/half_open.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/loop_thread.h"
#include "tests/support/step_transport.h"
#include "weft/core/in_process_transport.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The clients' ends are the test's, by the numbers of the connections.
class HalfOpenTest : public testing::Test {
 protected:
  void Make(StepScript script = {.name = "bob"}) {
    factory_ = std::make_shared<StepFactory>(std::move(script));
    thread_.Run([this] {
      half_open_ = std::make_unique<HalfOpen>(
          thread_.loop(), factory_, std::vector<std::string>{"weft/1"}, seconds(5),
          [this](uint64_t id, std::unique_ptr<Transport> transport, std::string peer,
                 MonoTime began) {
            EXPECT_FALSE(adding_);
            done_.push_back(absl::StrCat(id, " ", peer, " is ",
                                         std::string(transport->identity().first_name()), " after ",
                                         (clock_.Now() - began) / seconds(1)));
            size_inside_ = half_open_->size();
          },
          [this](uint64_t id, CloseReason reason, const absl::Status& why) {
            EXPECT_FALSE(adding_);
            failed_.push_back(absl::StrCat(id, " ", std::string(CloseReasonName(reason)), ": ",
                                           std::string(why.message())));
          });
    });
  }
  ~HalfOpenTest() override {
    thread_.Run([this] { half_open_.reset(); });
    thread_.Settle();
  }
  void Add(uint64_t id) {
    // The pipe holds 100 bytes, more than a handshake has, and is without faults.
    auto pipe = std::make_shared<InProcessPipe>(id, 100, ConnectionFaults(), clock_, clock_);
    ends_.push_back(std::make_unique<InProcessTransport>(pipe, InProcessPipe::Side::kDialer));
    thread_.Run([&] {
      ASSERT_TRUE(half_open_->MakeRoom(half_open_->size() + 1));
      adding_ = true;
      half_open_->Add(id,
                      std::make_unique<InProcessTransport>(pipe, InProcessPipe::Side::kListener),
                      absl::StrCat("peer", id), clock_.Now());
      adding_ = false;
    });
  }
  void Say(size_t which, const std::string& bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    ASSERT_EQ(ends_[which]->Write(&piece, 1), static_cast<ssize_t>(bytes.size()));
    thread_.Settle();
  }
  size_t size() {
    size_t n = 0;
    thread_.Run([&] { n = half_open_->size(); });
    return n;
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  std::shared_ptr<StepFactory> factory_;
  std::unique_ptr<HalfOpen> half_open_;
  std::vector<std::unique_ptr<Transport>> ends_;
  // The loop's, and the test's between its turns.
  bool adding_ = false;
  std::vector<std::string> done_, failed_;
  size_t size_inside_ = 0;
};

TEST_F(HalfOpenTest, HandsOnEachThatIsDone) {
  Make();
  for (const uint64_t id : {7, 8, 9}) Add(id);
  EXPECT_EQ(size(), 3u);
  clock_.Advance(seconds(2));
  // The second connection alone says both steps of its handshake. The other two say nothing yet.
  Say(1, StepFactory::Greeting('A', "ann") + "C");
  EXPECT_THAT(done_, ElementsAre("8 peer8 is ann after 2"));
  EXPECT_EQ(size_inside_, 2u) << "it is no longer one of them";
  EXPECT_EQ(size(), 2u);
  EXPECT_THAT(failed_, ElementsAre());
  const HandshakeRequest request = factory_->requests.Get().at(1);
  EXPECT_EQ(request.role, HandshakeRole::kListener);
  EXPECT_THAT(request.alpn, ElementsAre("weft/1"));
}

TEST_F(HalfOpenTest, SaysWhyOneFailed) {
  Make();
  Add(1);
  // The first byte of the handshake is wrong.
  Say(0, "x");
  ASSERT_EQ(failed_.size(), 1u);
  EXPECT_THAT(failed_[0], HasSubstr("1 handshake failed: transport handshake (accepted): "
                                    "expected 'A', got 'x'"));
  EXPECT_EQ(size(), 0u);
}

TEST_F(HalfOpenTest, EndsThoseThatTakeTooLong) {
  Make();
  Add(1);
  thread_.Advance(seconds(3));
  Add(2);
  // The limit is 5 s from the beginning of each connection, so the second has 3 s left.
  thread_.Advance(seconds(2));
  ASSERT_EQ(failed_.size(), 1u);
  EXPECT_THAT(failed_[0], HasSubstr("1 no handshake in time: "));
  EXPECT_EQ(size(), 1u);
  thread_.Advance(seconds(3));
  EXPECT_EQ(failed_.size(), 2u);
}

TEST_F(HalfOpenTest, DroppedTellsOfEach) {
  Make();
  for (const uint64_t id : {1, 2}) Add(id);
  thread_.Run([this] {
    half_open_->Drop(CloseReason::kLocal, absl::UnavailableError("stopping"));
    EXPECT_EQ(half_open_->size(), 0u);
  });
  EXPECT_THAT(failed_, testing::UnorderedElementsAre("1 closed by this side: stopping",
                                                     "2 closed by this side: stopping"));
  char byte;
  const iovec piece{&byte, 1};
  // End of stream, not a failure: the transport was destroyed, and its end closed.
  EXPECT_EQ(ends_[0]->Read(&piece, 1), 0) << "its transport has gone";
}

TEST_F(HalfOpenTest, DestroyedTellsNobody) {
  Make();
  Add(1);
  thread_.Run([this] { half_open_.reset(); });
  // Time passes the limit: a timer left behind would call back now.
  thread_.Advance(seconds(10));
  EXPECT_THAT(failed_, ElementsAre());
}

}  // namespace
}  // namespace weft::internal
