// The list of connections, and the listener that is told of their changes.
#include "weft/rpc/protocol/connection_list.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Gauge final : public ConnectionGauge {
 public:
  ConnectionVolume Volume() override { return volume; }
  PeerTiming Timing() override { return {.round_trip = absl::Milliseconds(3)}; }
  ConnectionVolume volume;
};

class ConnectionListTest : public testing::Test {
 protected:
  uint64_t Add(ConnectionList& list, std::string peer) {
    return list.Add(std::move(peer), began_, std::make_shared<Gauge>());
  }
  // A listener that notes what it is told, as "2 b:1 up".
  ConnectionListener Noting() {
    return [this](const ConnectionEvent& event) {
      told_.push_back(absl::StrCat(event.id, " ", event.peer, " ",
                                   std::string(ConnectionStateName(event.state))));
      last_ = event;
    };
  }

  const MonoTime began_ = MonoTime() + seconds(100);
  std::vector<std::string> told_;
  ConnectionEvent last_;
};

TEST_F(ConnectionListTest, ShowsEachConnectionWithItsAgeAndItsVolume) {
  ConnectionList list(nullptr);
  const auto gauge = std::make_shared<Gauge>();
  EXPECT_EQ(list.Add("a:1", began_, gauge), 1u);
  EXPECT_EQ(Add(list, "b:1"), 2u);
  list.Set(1, ConnectionState::kUp);
  gauge->volume = {.bytes_in = 10, .bytes_out = 20, .calls = 3, .calls_begun = 4};
  // The volume is read when the list is asked, not when the connection was added.
  const std::vector<ConnectionInfo> infos = list.List(began_ + seconds(5));
  ASSERT_EQ(infos.size(), 2u);
  EXPECT_EQ(infos[0].id, 1u);
  EXPECT_EQ(infos[0].peer, "a:1");
  EXPECT_EQ(infos[0].state, ConnectionState::kUp);
  EXPECT_EQ(infos[0].age, absl::Seconds(5));
  EXPECT_EQ(infos[0].bytes_in, 10u);
  EXPECT_EQ(infos[0].bytes_out, 20u);
  EXPECT_EQ(infos[0].calls, 3u);
  EXPECT_EQ(infos[0].timing.round_trip, absl::Milliseconds(3));
  EXPECT_EQ(infos[1].peer, "b:1");
  EXPECT_EQ(infos[1].state, ConnectionState::kConnecting);
}

TEST_F(ConnectionListTest, TellsItsListenerOfEachChangeOnce) {
  ConnectionList list(Noting());
  const uint64_t id = Add(list, "a:1");
  // A new connection is no change yet.
  EXPECT_THAT(told_, IsEmpty());
  list.Set(id, ConnectionState::kUp);
  list.Set(id, ConnectionState::kUp);
  list.Set(id, ConnectionState::kSuspect);
  list.Set(id, ConnectionState::kUp);
  EXPECT_THAT(told_, ElementsAre("1 a:1 up", "1 a:1 suspect", "1 a:1 up"));
}

TEST_F(ConnectionListTest, ForgetsAConnectionThatIsDownAndGivesItsNumberToNobody) {
  ConnectionList list(Noting());
  const uint64_t id = Add(list, "a:1");
  list.Set(id, ConnectionState::kDown, CloseReason::kPeerClosed, absl::UnavailableError("gone"));
  EXPECT_EQ(last_.reason, CloseReason::kPeerClosed);
  EXPECT_EQ(last_.why, absl::UnavailableError("gone"));
  EXPECT_THAT(list.List(began_), IsEmpty());
  list.Set(id, ConnectionState::kUp);  // too late
  EXPECT_THAT(told_, ElementsAre("1 a:1 down"));
  // A listener may still hold the number 1.
  EXPECT_EQ(Add(list, "a:1"), 2u);
}

TEST_F(ConnectionListTest, TellsOfAttemptsThatAreNoConnectionYet) {
  ConnectionList list(Noting());
  ConnectionEvent failed;
  failed.peer = "a:1";
  failed.state = ConnectionState::kDown;
  list.Tell(failed);
  EXPECT_THAT(told_, ElementsAre("0 a:1 down"));
  EXPECT_THAT(list.List(began_), IsEmpty());
  ConnectionList(nullptr).Tell(failed);  // to nobody
}

// A listener may look at the list, and ask for more of it: it runs outside the list's lock.
TEST_F(ConnectionListTest, MayBeAskedByItsListener) {
  ConnectionList* asked = nullptr;
  size_t seen = 0;
  ConnectionList list([&](const ConnectionEvent&) { seen = asked->List(began_).size(); });
  asked = &list;
  const uint64_t first = Add(list, "a:1");
  Add(list, "b:1");
  list.Set(first, ConnectionState::kUp);
  EXPECT_EQ(seen, 2u);
}

}  // namespace
}  // namespace weft::internal
