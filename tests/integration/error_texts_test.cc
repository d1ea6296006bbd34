// Errors and log lines of lost, refused and wrong peers: each says an address and a reason once,
// and the address at its end.
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"

namespace weft::test {
namespace {

using ::testing::IsSupersetOf;
using ::testing::StartsWith;

constexpr CallOptions kLong{.timeout = absl::Seconds(60)};

// Returns four words that stand twice in `line`, or an address that does; empty: neither.
std::string SaidTwice(std::string_view line) {
  const std::vector<std::string> words =
      absl::StrSplit(absl::string_view(line.data(), line.size()), ' ', absl::SkipEmpty());
  const auto run = [&](size_t first, size_t count) {
    std::string text;
    for (size_t i = first; i < first + count; ++i) absl::StrAppend(&text, words[i], " ");
    return text;
  };
  constexpr size_t kRun = 4;
  for (size_t i = 0; i + kRun <= words.size(); ++i) {
    for (size_t j = i + 1; j + kRun <= words.size(); ++j) {
      if (run(i, kRun) == run(j, kRun)) return run(i, kRun);
    }
  }
  const auto address = [](std::string word) {
    while (!word.empty() && absl::ascii_ispunct(static_cast<unsigned char>(word.back())) != 0) {
      word.pop_back();
    }
    return word;
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string one = address(words[i]);
    if (!absl::StrContains(one, "127.0.0.1:") && !absl::StrContains(one, "inproc:")) continue;
    for (size_t j = i + 1; j < words.size(); ++j) {
      if (address(words[j]) == one) return one;
    }
  }
  return "";
}

TEST(ErrorTextsCheck, FindsReasonsAndAddressesThatStandTwice) {
  EXPECT_EQ(SaidTwice("call a.B/C to 127.0.0.1:7: read: Connection reset by peer"), "");
  EXPECT_NE(SaidTwice("call a.B/C to 127.0.0.1:7: read from 127.0.0.1:7: reset"), "");
  EXPECT_NE(SaidTwice("lost: the peer is silent now: the peer is silent now"), "");
}

// Returns an address that does not stand at the end of `line`, in parentheses with its role and
// perhaps a time; only what was counted may follow, behind a semicolon. Empty: there is none.
std::string SaidInTheMiddle(const std::string& line) {
  static const std::regex address("127\\.0\\.0\\.1:[0-9]+|inproc:[^ ,;:)]+");
  static const std::regex begin(".*\\((to |from )?"), end("(, after [^()]*)?\\)(; .*)?");
  for (std::sregex_iterator it(line.begin(), line.end(), address), none; it != none; ++it) {
    if (std::regex_match(it->prefix().str(), begin) && std::regex_match(it->suffix().str(), end)) {
      continue;
    }
    return it->str();
  }
  return "";
}

TEST(ErrorTextsCheck, FindsAddressesThatDoNotStandAtTheEnd) {
  for (const char* line :
       {"call a.B/C: read: reset (to 127.0.0.1:7, after 3.0 ms)", "the peer is silent",
        "server: read: reset (from 127.0.0.1:7)", "server back (127.0.0.1:7, after 2 attempts)",
        "server lost: reset (to 127.0.0.1:7); 3 lines were left out"}) {
    EXPECT_EQ(SaidInTheMiddle(line), "") << line;
  }
  for (const char* line :
       {"call a.B/C to 127.0.0.1:7: reset", "127.0.0.1:7 does not take it", "reset by 127.0.0.1:7",
        "threw for a connection from 127.0.0.1:7: no disk", "reset (to 127.0.0.1:7) by a fault"}) {
    EXPECT_EQ(SaidInTheMiddle(line), "127.0.0.1:7") << line;
  }
}

class ErrorTexts : public testing::Test {
 protected:
  ErrorTexts() {
    RuntimeOptions options;
    options.log_sink = log_;
    runtime_ = RuntimeOf(std::move(options));
  }
  std::unique_ptr<Channel> To(const std::string& address, ChannelOptions options = {}) {
    options.runtime = runtime_;
    return ChannelTo(address, std::move(options));
  }
  // Begins a call, lets `peer` act once the request has come, and returns the call's end.
  template <typename Act>
  absl::Status CallWhile(const Act& act) {
    RawListener listener;
    const auto channel = To(listener.address());
    EchoService::Stub stub(*channel);
    EchoResult result;
    stub.EchoAsync(RequestOf("x"), kLong, Into(result));
    RawPeer peer = listener.Accept();
    peer.Send(raw::Opening());
    EXPECT_EQ(peer.Read(raw::Preface().size()), raw::Preface());
    EXPECT_TRUE(peer.ReadFrame(internal::native::FrameType::kRequest).has_value());
    act(peer);
    return result.Wait().status();
  }
  void Check(const absl::Status& status) {
    EXPECT_FALSE(status.ok());
    CheckText(std::string(status.message()));
  }
  static void CheckText(const std::string& text) {
    EXPECT_EQ(SaidTwice(text), "") << text;
    EXPECT_EQ(SaidInTheMiddle(text), "") << text;
  }
  // All lines of the log are judged, whatever a test looks at besides.
  ~ErrorTexts() override {
    for (const std::string& line : log_->lines.Get()) CheckText(line);
  }

  const std::shared_ptr<CollectedLog> log_ = std::make_shared<CollectedLog>();
  std::shared_ptr<Runtime> runtime_;
};

TEST_F(ErrorTexts, OfAConnectionThatIsReset) {
  Check(CallWhile([](RawPeer& peer) { peer.Reset(); }));
}
TEST_F(ErrorTexts, OfAConnectionThatIsClosed) {
  Check(CallWhile([](RawPeer& peer) { peer.Close(); }));
}
TEST_F(ErrorTexts, OfAFrameThatIsBad) {
  // No frame has type 200.
  Check(CallWhile([](RawPeer& peer) { peer.Send(raw::Frame(200, 0, 0, 9, "?")); }));
}
TEST_F(ErrorTexts, OfAPeerThatSpeaksSomethingElse) {
  RawListener listener;
  const auto channel = To(listener.address());
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.EchoAsync(RequestOf("x"), kLong, Into(result));
  listener.Accept().Send("HTTP/1.1 400 Bad Request\r\n\r\n");
  Check(result.Wait().status());
}
TEST_F(ErrorTexts, OfAPortWhereNobodyListens) {
  std::string address;
  // A port that was free a moment ago: nobody listens there when the call comes.
  { address = RawListener().address(); }
  const auto channel = To(address);
  Check(EchoService::Stub(*channel).Echo(RequestOf("x"), kLong).status());
  Check(EchoService::Stub(*channel)
            .Echo(RequestOf("x"), {.timeout = absl::Milliseconds(50), .wait_for_ready = true})
            .status());
}
TEST_F(ErrorTexts, OfSeveralAttempts) {
  std::string address;
  { address = RawListener().address(); }
  ChannelOptions options;
  options.retry = {.attempts = 2, .backoff = absl::Milliseconds(1)};
  const auto channel = To(address, std::move(options));
  Check(EchoService::Stub(*channel).Echo(RequestOf("x"), kLong).status());
}
TEST_F(ErrorTexts, OfAWrongToken) {
  HookedEcho service;
  ServerOptions checked;
  checked.authenticator = [](std::string_view token,
                             const std::string&) -> absl::StatusOr<std::string> {
    if (token == "right") return std::string("ann");
    return absl::UnauthenticatedError("no such token");
  };
  TestServer server(service, std::move(checked));
  const auto channel = To(server.target(), {.auth_token = "wrong"});
  Check(EchoService::Stub(*channel).Echo(RequestOf("x"), kLong).status());
}
TEST_F(ErrorTexts, OfACallsWrongTokenAndOfAnAuthenticatorThatThrows) {
  HookedEcho service;
  ServerOptions checked;
  checked.runtime = runtime_;
  checked.authenticate_calls = true;
  checked.authenticator = [](const AuthenticationRequest& asks) -> absl::StatusOr<std::string> {
    if (asks.token == "throws") throw std::runtime_error("no disk");
    if (asks.token == "wrong") return absl::UnauthenticatedError("no such token");
    return std::string("ann");
  };
  TestServer server(service, std::move(checked));
  const auto channel = To(server.target());
  const auto error = [&](CallTarget& target, const std::string& token) {
    ClientContext context;
    EXPECT_TRUE(context.metadata().Add("authorization", token).ok());
    return EchoService::Stub(target)
        .Echo(RequestOf("x"), {.timeout = absl::Seconds(60), .context = &context})
        .status();
  };
  for (const char* token : {"wrong", "throws"}) {
    const absl::Status status = error(*channel, token);
    Check(status);
    EXPECT_THAT(std::string(status.message()),
                StartsWith("call weft.test.EchoService/Echo: not authenticated: "));
  }
  const auto refused = To(server.target(), {.auth_token = "throws"});
  Check(EchoService::Stub(*refused).Echo(RequestOf("x"), kLong).status());
  EXPECT_THAT(
      log_->lines.Get(),
      IsSupersetOf({StartsWith("server: call weft.test.EchoService/Echo: the authenticator "
                               "threw: no disk (from 127.0.0.1:"),
                    StartsWith("server: the authenticator threw: no disk (from 127.0.0.1:")}));
}
TEST_F(ErrorTexts, OfAnAttachmentThatIsNotTaken) {
  RawListener listener;
  const auto channel = To(listener.address());
  ClientContext context;
  context.attachment() = absl::Cord("beside");
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(
      RequestOf("x"), {.timeout = absl::Seconds(60), .context = &context}, Into(result));
  RawPeer peer = listener.Accept();
  peer.Send(raw::Opening());
  Check(result.Wait().status());
}
TEST_F(ErrorTexts, OfTimeLimitsAndUnknownMethods) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = To(server.target());
  EchoService::Stub stub(*channel);
  Check(stub.Hang(RequestOf("x"), {.timeout = absl::Milliseconds(20)}).status());
  Check(Rows::Stub(*channel).Get({}, kLong).status());
  service.release.Notify();
}
TEST_F(ErrorTexts, OfMessagesThatAreTooLarge) {
  HookedEcho service;
  TestServer server(service);
  ChannelOptions options;
  options.limits.max_message_bytes = 1000;
  const auto channel = To(server.target(), std::move(options));
  EchoService::Stub stub(*channel);
  Check(stub.Echo(PayloadOf(2000), kLong).status());
  ProduceRequest large;
  large.set_bytes(5000);
  Check(stub.Produce(large, kLong).status());
}

}  // namespace
}  // namespace weft::test
