// Dials and listeners of a network in memory, on the test's own thread: numbers, faults, single
// connections that are cut or held, and a tap that decides and hears.
#include "weft/core/in_process_network.h"

#include <errno.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

class InProcessNetworkTest : public testing::Test {
 protected:
  std::unique_ptr<InProcessListener> Listen(const std::string& name) {
    auto listener = network_->Listen(
        name, clock_, [this](std::unique_ptr<Transport> transport, std::string peer) {
          accepted_.push_back(std::move(transport));
          peers_.push_back(std::move(peer));
        });
    EXPECT_TRUE(listener.ok()) << listener.status();
    return *std::move(listener);
  }
  std::unique_ptr<Transport> Dial(const std::string& name) {
    absl::StatusOr<std::unique_ptr<Transport>> transport = network_->Dial(name, clock_);
    EXPECT_TRUE(transport.ok()) << transport.status();
    return *std::move(transport);
  }
  static ssize_t Write(Transport& transport, const std::string& bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    return transport.Write(&piece, 1);
  }
  static std::string Read(Transport& transport) {
    std::string bytes(100, '\0');
    const iovec piece{bytes.data(), bytes.size()};
    const ssize_t n = transport.Read(&piece, 1);
    if (n < 0) return errno == EAGAIN ? "<again>" : "<error>";
    bytes.resize(static_cast<size_t>(n));
    return bytes;
  }

  ManualClock clock_;
  std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create();
  std::vector<std::unique_ptr<Transport>> accepted_;
  std::vector<std::string> peers_;
};

TEST_F(InProcessNetworkTest, JoinsWhoDialsWithWhoListens) {
  const auto store = Listen("store");
  const auto other = Listen("other");
  const std::unique_ptr<Transport> dialled = Dial("store");
  ASSERT_EQ(peers_, std::vector<std::string>{"inproc:store#0"});
  EXPECT_EQ(Write(*dialled, "hello"), 5);
  EXPECT_EQ(Read(*accepted_[0]), "hello");
  EXPECT_EQ(Write(*accepted_[0], "good day"), 8);
  EXPECT_EQ(Read(*dialled), "good day");
}

TEST_F(InProcessNetworkTest, ANameIsTakenOnceAndFreeAfterItsListenersEnd) {
  auto store = Listen("store");
  const absl::Status taken =
      network_->Listen("store", clock_, [](std::unique_ptr<Transport>, std::string) {}).status();
  EXPECT_TRUE(absl::IsAlreadyExists(taken)) << taken;
  EXPECT_EQ(taken.message(), "listen on inproc:store: somebody listens there already");
  store.reset();
  store = Listen("store");
  Dial("store");
  EXPECT_EQ(accepted_.size(), 1u);
}

TEST_F(InProcessNetworkTest, DiallingWhatNobodyListensOnIsUnavailable) {
  auto store = Listen("store");
  for (const char* name : {"shop", "store"}) {
    const absl::Status status = network_->Dial(name, clock_).status();
    if (std::string(name) == "store") {
      EXPECT_TRUE(status.ok());
      store.reset();
      EXPECT_FALSE(network_->Dial(name, clock_).ok());
      continue;
    }
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_EQ(status.message(), "connect: nobody listens there (to inproc:shop)");
  }
}

TEST_F(InProcessNetworkTest, NetworksDoNotKnowOfEachOther) {
  const auto store = Listen("store");
  EXPECT_FALSE(InProcessNetwork::Create()->Dial("store", clock_).ok());
}

TEST_F(InProcessNetworkTest, ListenersAndConnectionsOutliveTheNetwork) {
  auto store = Listen("store");
  const std::unique_ptr<Transport> dialled = Dial("store");
  network_.reset();
  EXPECT_EQ(Write(*dialled, "x"), 1);
  EXPECT_EQ(Read(*accepted_[0]), "x");
  store.reset();
}

TEST_F(InProcessNetworkTest, ConnectionsAreNumberedAsTheyWereDialled) {
  std::vector<uint64_t> asked;
  network_ = InProcessNetwork::Create({.faults = [&](uint64_t connection) {
    asked.push_back(connection);
    return ConnectionFaults{.refused = connection == 1};
  }});
  const auto store = Listen("store");
  std::unique_ptr<Transport> first = Dial("store");
  const absl::Status refused = network_->Dial("store", clock_).status();
  EXPECT_TRUE(absl::IsUnavailable(refused));
  EXPECT_EQ(refused.message(), "connect: refused by a fault (to inproc:store)");
  const std::unique_ptr<Transport> third = Dial("store");
  EXPECT_EQ(asked, (std::vector<uint64_t>{0, 1, 2}));
  EXPECT_EQ(network_->dialled(), 3u);
  // The refused dial has used up its number.
  EXPECT_EQ(network_->connections(), (std::vector<uint64_t>{0, 2}));
  first.reset();
  accepted_[0].reset();
  EXPECT_EQ(network_->connections(), (std::vector<uint64_t>{2}));
}

TEST_F(InProcessNetworkTest, OneConnectionIsCutAndTheOthersGoOn) {
  const auto store = Listen("store");
  const std::unique_ptr<Transport> first = Dial("store"), second = Dial("store");
  EXPECT_TRUE(network_->Cut(0));
  EXPECT_EQ(Read(*first), "<error>");
  EXPECT_EQ(Read(*accepted_[0]), "<error>");
  EXPECT_EQ(Write(*second, "well"), 4);
  EXPECT_EQ(Read(*accepted_[1]), "well");
  // The first connection is over already, and connection 2 has never existed.
  EXPECT_FALSE(network_->Cut(0));
  EXPECT_FALSE(network_->Cut(2));
}

TEST_F(InProcessNetworkTest, AHeldConnectionIsOvertakenByAnother) {
  const auto store = Listen("store");
  const std::unique_ptr<Transport> first = Dial("store"), second = Dial("store");
  EXPECT_TRUE(network_->Hold(0));
  EXPECT_EQ(Write(*first, "first"), 5);
  EXPECT_EQ(Write(*second, "second"), 6);
  EXPECT_EQ(Read(*accepted_[0]), "<again>");
  EXPECT_EQ(Read(*accepted_[1]), "second");
  EXPECT_TRUE(network_->Release(0));
  EXPECT_EQ(Read(*accepted_[0]), "first");
}

// Decides about dials, and keeps the events that it hears of.
class RecordingTap final : public InProcessTap {
 public:
  Dialled OnDial(const InProcessRoute& route, ConnectionFaults* faults) override {
    lines.push_back(route.from + " dials " + route.name + " of <" + route.to + ">");
    *faults = next_faults;
    return answer;
  }
  void OnBytes(const InProcessRoute& route, bool by_dialer, const iovec* pieces, size_t size,
               bool vanish) override {
    lines.push_back((by_dialer ? route.from : route.to) + " writes " +
                    std::string(static_cast<const char*>(pieces[0].iov_base), size) +
                    (vanish ? ", lost" : ""));
  }
  void OnClose(const InProcessRoute& route, bool by_dialer) override {
    lines.push_back((by_dialer ? route.from : route.to) + " closes");
  }

  Dialled answer = Dialled::kConnects;
  ConnectionFaults next_faults;
  std::vector<std::string> lines;
};

TEST_F(InProcessNetworkTest, SaysWhoDialledWhom) {
  network_ = network_->For("b");
  const auto store = Listen("store");
  network_ = network_->For("a");
  const std::unique_ptr<Transport> dialled = Dial("store");
  EXPECT_EQ(peers_, std::vector<std::string>{"inproc:a#0"});
  const std::vector<InProcessRoute> routes = network_->routes();
  ASSERT_EQ(routes.size(), 1u);
  EXPECT_EQ(routes[0].from, "a");
  EXPECT_EQ(routes[0].to, "b");
  EXPECT_EQ(routes[0].name, "store");
}

TEST_F(InProcessNetworkTest, ATapDecidesAndHears) {
  const auto tap = std::make_shared<RecordingTap>();
  const auto network = InProcessNetwork::Create({.tap = tap});
  network_ = network->For("b");
  const auto store = Listen("store");
  network_ = network->For("a");
  tap->answer = InProcessTap::Dialled::kSilence;
  EXPECT_EQ(Dial("store"), nullptr);
  // A dial that nobody answers has its number, and is no connection.
  EXPECT_EQ(network->dialled(), 1u);
  EXPECT_TRUE(network->connections().empty());
  tap->answer = InProcessTap::Dialled::kConnects;
  tap->next_faults.to_dialer.drop_from = 0;
  std::unique_ptr<Transport> dialled = Dial("store");
  Write(*dialled, "hello");
  Write(*accepted_[0], "hi");
  dialled.reset();
  EXPECT_EQ(tap->lines,
            (std::vector<std::string>{"a dials store of <b>", "a dials store of <b>",
                                      "a writes hello", "b writes hi, lost", "a closes"}));
  EXPECT_FALSE(network->Dial("nowhere", clock_).ok());
  EXPECT_EQ(tap->lines.back(), " dials nowhere of <>");
}

TEST_F(InProcessNetworkTest, FaultsMayChangeUnderWay) {
  const auto store = Listen("store");
  const std::unique_ptr<Transport> dialled = Dial("store");
  EXPECT_EQ(Write(*dialled, "before"), 6);
  EXPECT_TRUE(network_->Change(0, {.to_listener = {.drop_from = 2}}));
  EXPECT_EQ(Write(*dialled, "after"), 5);
  // Positions count from the change: two bytes of what is written after it arrive.
  EXPECT_EQ(Read(*accepted_[0]), "beforeaf");
}

}  // namespace
}  // namespace weft::internal
