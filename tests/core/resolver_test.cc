// Lookups with hosts and resolv.conf files of the tests', against name servers that answer by a
// script over real UDP and TCP on loopback.
#include "weft/core/resolver.h"

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/loop_thread.h"
#include "tests/support/scripted_dns.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using Question = ScriptedDns::Question;
using Reply = ScriptedDns::Reply;

// The results of a lookup so far.
struct Told {
  std::vector<std::string> addresses;
  absl::Status error;
  bool over = false;
};

// Answers with one address of each family.
Reply BothFamilies(const Question& q) {
  return {.addresses = {q.ipv6 ? "2001:db8::1" : "10.0.0.1"}};
}

// A resolver with files of the test's, and name servers that answer by a script.
class ResolverTest : public testing::Test {
 protected:
  ResolverTest() {
    options_.hosts = dir_.path() + "/hosts";
    options_.resolv_conf = dir_.path() + "/resolv.conf";
    Write(options_.hosts, "127.0.0.1 localhost\n::1 localhost\n10.1.1.1 db\n2001:db8::db DB\n");
    WriteResolvConf("nameserver 127.0.0.1\n");
  }
  ~ResolverTest() override {
    thread_->Run([this] { resolver_.reset(); });
    thread_->Settle();
  }
  static void Write(const std::string& file, const std::string& text) {
    std::ofstream(file) << text;
  }
  void WriteResolvConf(const std::string& text) { Write(options_.resolv_conf, text); }

  void Serve(ScriptedDns::Script script) {
    dns_ = std::make_unique<ScriptedDns>(std::move(script));
    options_.dns_port = dns_->port();
  }
  // Runs the loop on a clock that moves only by Advance.
  void UseManualClock() { thread_ = std::make_unique<LoopThread>(clock_); }

  void Start(const std::string& text, Nanos limit = seconds(30)) {
    told_.Set({});
    thread_->Run([&] {
      if (resolver_ == nullptr) resolver_ = std::make_unique<Resolver>(thread_->loop(), options_);
      resolver_->Resolve(*HostPort::Parse(text), limit,
                         [this](absl::StatusOr<std::vector<SocketAddress>> found, bool last) {
                           told_.Update([&](Told& told) {
                             EXPECT_FALSE(told.over);
                             told.over = last;
                             if (!found.ok()) {
                               told.error = found.status();
                               return;
                             }
                             for (const SocketAddress& a : *found) {
                               told.addresses.push_back(a.ToString());
                             }
                           });
                         });
    });
  }
  Told Resolve(const std::string& text, Nanos limit = seconds(30)) {
    Start(text, limit);
    EXPECT_TRUE(told_.WaitFor([](const Told& told) { return told.over; })) << text;
    return told_.Get();
  }
  bool WaitForAddresses(size_t n) {
    return told_.WaitFor([&](const Told& told) { return told.addresses.size() >= n; });
  }

  const TempDir dir_;
  ResolverOptions options_;
  ManualClock clock_;
  std::unique_ptr<ScriptedDns> dns_;
  std::unique_ptr<LoopThread> thread_ = std::make_unique<LoopThread>();
  std::unique_ptr<Resolver> resolver_;
  Watched<Told> told_;
};

// ---- Without a name server

TEST_F(ResolverTest, AnswersNumericAndUnixAddressesInside) {
  for (const char* text : {"10.0.0.7:7000", "[::1]:7", "unix:/x", "unix:@x", "[::1%1]:7"}) {
    Start(text);
    // The test need not wait: the answer has come inside Resolve.
    const Told told = told_.Get();
    EXPECT_TRUE(told.over) << text;
    EXPECT_THAT(told.addresses, ElementsAre(text));
  }
}

TEST_F(ResolverTest, FindsBothFamiliesInTheHostsFileAndAsksNobody) {
  Serve(BothFamilies);
  EXPECT_THAT(Resolve("db:80").addresses, ElementsAre("10.1.1.1:80", "[2001:db8::db]:80"));
  // A dot at the end means a complete name, and is not part of it in the file.
  EXPECT_THAT(Resolve("localhost.:7").addresses, ElementsAre("127.0.0.1:7", "[::1]:7"));
  EXPECT_THAT(dns_->asked(), IsEmpty());
}

TEST_F(ResolverTest, SeesAHostsFileThatHasChanged) {
  EXPECT_THAT(Resolve("db:80").addresses, SizeIs(2));
  Write(options_.hosts, "10.1.1.2 db\n");
  EXPECT_THAT(Resolve("db:80").addresses, ElementsAre("10.1.1.2:80"));
}

TEST_F(ResolverTest, KnowsLocalhostWithoutAHostsFile) {
  Serve(BothFamilies);
  Write(options_.hosts, "");
  EXPECT_THAT(Resolve("localhost:7").addresses, ElementsAre("[::1]:7", "127.0.0.1:7"));
  EXPECT_THAT(Resolve("a.LOCALHOST:7").addresses, ElementsAre("[::1]:7", "127.0.0.1:7"));
  EXPECT_THAT(dns_->asked(), IsEmpty());
}

TEST_F(ResolverTest, AnUnknownInterfaceIsAStatusAndNotAName) {
  const Told told = Resolve("[fe80::1%no-such-interface]:80");
  EXPECT_THAT(std::string(told.error.message()), HasSubstr("no-such-interface"));
}

// ---- Answers

TEST_F(ResolverTest, TellsTheAddressesOfBothFamilies) {
  Serve(BothFamilies);
  EXPECT_THAT(Resolve("web.example:80").addresses,
              UnorderedElementsAre("10.0.0.1:80", "[2001:db8::1]:80"));
}

TEST_F(ResolverTest, FollowsAnAlias) {
  Serve([](const Question& q) {
    return q.ipv6 ? Reply{.alias = "other"} : Reply{.alias = "other", .addresses = {"10.0.0.1"}};
  });
  EXPECT_THAT(Resolve("web.example:80").addresses, ElementsAre("10.0.0.1:80"));
}

TEST_F(ResolverTest, DoesNotWaitForTheFamilyWhoseAnswerNeverComes) {
  UseManualClock();
  for (const bool ipv6_silent : {true, false}) {
    resolver_.reset();
    Serve([=](const Question& q) {
      return q.ipv6 == ipv6_silent ? Reply{.silent = true} : BothFamilies(q);
    });
    Start("web.example:80", seconds(2));
    // The addresses come while the other family is still asked for. Only the lookup's limit ends
    // its time.
    ASSERT_TRUE(WaitForAddresses(1));
    EXPECT_FALSE(told_.Get().over);
    thread_->Advance(seconds(2));
    EXPECT_TRUE(told_.Get().over);
    EXPECT_THAT(told_.Get().addresses, SizeIs(1));
    thread_->Run([this] { resolver_.reset(); });
  }
}

TEST_F(ResolverTest, IsContentWithOneFamilyWhereTheOtherFails) {
  // The other family has no address, a failure, or a refusal.
  for (const Reply& bad :
       {Reply{}, Reply{.code = ScriptedDns::kServerFailed}, Reply{.code = ScriptedDns::kRefused}}) {
    thread_->Run([this] { resolver_.reset(); });
    Serve([=](const Question& q) { return q.ipv6 ? bad : BothFamilies(q); });
    const Told told = Resolve("web.example:80");
    EXPECT_THAT(told.addresses, ElementsAre("10.0.0.1:80")) << told.error;
  }
}

TEST_F(ResolverTest, AsksAgainOverTcpWhereAnAnswerIsTruncated) {
  Serve([](const Question& q) {
    Reply reply{.truncated = !q.ipv6};
    for (int i = 1; !q.ipv6 && i <= (q.tcp ? 40 : 20); ++i) {
      reply.addresses.push_back(absl::StrCat("10.0.0.", i));
    }
    return reply;
  });
  // The 20 addresses of the truncated answer are not mixed in.
  EXPECT_THAT(Resolve("web.example:80").addresses, SizeIs(40));
  EXPECT_THAT(dns_->asked(), testing::Contains("web.example A tcp"));
}

// ---- Name servers that do not serve

TEST_F(ResolverTest, AsksTheNextServerWhereOneFailsOrRefuses) {
  for (const int code : {ScriptedDns::kServerFailed, ScriptedDns::kRefused}) {
    thread_->Run([this] { resolver_.reset(); });
    Serve(BothFamilies);
    const ScriptedDns bad([=](const Question&) { return Reply{.code = code}; }, "127.0.0.2",
                          dns_->port());
    WriteResolvConf("nameserver 127.0.0.2\nnameserver 127.0.0.1\n");
    EXPECT_THAT(Resolve("web.example:80").addresses, SizeIs(2));
    // The bad server is asked once for each family.
    EXPECT_THAT(bad.asked(), SizeIs(2));
  }
}

TEST_F(ResolverTest, AsksTheNextServerWhereNobodyListens) {
  Serve(BothFamilies);
  WriteResolvConf("nameserver 127.0.0.3\nnameserver 127.0.0.1\n");
  // The kernel answers at once that the port is closed.
  EXPECT_THAT(Resolve("web.example:80").addresses, SizeIs(2));
}

TEST_F(ResolverTest, AsksTheNextServerWhereOneIsSilent) {
  Serve(BothFamilies);
  const ScriptedDns dead([](const Question&) { return Reply{.silent = true}; }, "127.0.0.2",
                         dns_->port());
  WriteResolvConf("nameserver 127.0.0.2\nnameserver 127.0.0.1\n");
  options_.try_time = milliseconds(50);
  EXPECT_THAT(Resolve("web.example:80").addresses, SizeIs(2));
  EXPECT_THAT(dead.asked(), Not(IsEmpty()));
}

TEST(TimeForOneServer, IsAShareOfTheLookups) {
  EXPECT_EQ(TimeForOneServer(seconds(5), seconds(2), 1), seconds(1));
  EXPECT_EQ(TimeForOneServer(seconds(5), seconds(2), 3), milliseconds(500));
  EXPECT_EQ(TimeForOneServer(seconds(5), seconds(60), 3), seconds(5)) << "as configured";
  EXPECT_EQ(TimeForOneServer(seconds(5), milliseconds(20), 3), milliseconds(100)) << "no less";
  EXPECT_EQ(TimeForOneServer(seconds(5), Nanos::max(), 0), seconds(5));
}

TEST_F(ResolverTest, SeesAResolvConfThatHasChanged) {
  Serve([](const Question& q) { return q.ipv6 ? Reply{} : Reply{.addresses = {"10.0.0.1"}}; });
  const ScriptedDns other(
      [](const Question& q) { return q.ipv6 ? Reply{} : Reply{.addresses = {"10.0.0.2"}}; },
      "127.0.0.2", dns_->port());
  EXPECT_THAT(Resolve("web.example:80").addresses, ElementsAre("10.0.0.1:80"));
  WriteResolvConf("nameserver 127.0.0.2\n");
  EXPECT_THAT(Resolve("web.example:80").addresses, ElementsAre("10.0.0.2:80"));
}

// ---- Names

TEST_F(ResolverTest, AsksForAnAbsoluteNameAsItIs) {
  Serve([](const Question&) { return Reply{.code = ScriptedDns::kNoSuchName}; });
  WriteResolvConf("nameserver 127.0.0.1\nsearch a.example b.example\n");
  EXPECT_TRUE(absl::IsUnavailable(Resolve("web.:80").error));
  // The name is asked for with neither domain of the search list.
  for (const std::string& question : dns_->asked()) {
    EXPECT_THAT(question, testing::AnyOf("web A", "web AAAA"));
  }
}

TEST_F(ResolverTest, GoesThroughTheSearchListUntilANameIsThere) {
  Serve([](const Question& q) {
    return q.name == "web.b.example" ? BothFamilies(q) : Reply{.code = ScriptedDns::kNoSuchName};
  });
  WriteResolvConf("nameserver 127.0.0.1\nsearch a.example b.example\n");
  EXPECT_THAT(Resolve("web:80").addresses, SizeIs(2));
  EXPECT_THAT(dns_->asked()[0], HasSubstr("web.a.example "));
  // The name without a domain would come last, and was not needed.
  EXPECT_THAT(dns_->asked(), Not(testing::Contains(HasSubstr("web A"))));
}

// No name is taken from one zone for IPv4 and from another for IPv6.
TEST_F(ResolverTest, TakesBothFamiliesFromTheSameName) {
  Serve([](const Question& q) {
    if (q.name == "web.a.example") return q.ipv6 ? Reply{} : BothFamilies(q);
    return q.name == "web.b.example" ? BothFamilies(q) : Reply{.code = ScriptedDns::kNoSuchName};
  });
  WriteResolvConf("nameserver 127.0.0.1\nsearch a.example b.example\n");
  EXPECT_THAT(Resolve("web:80").addresses, ElementsAre("10.0.0.1:80"));
}

TEST_F(ResolverTest, GoesOnFromANameThatIsNotThereWithoutItsOtherAnswer) {
  Serve([](const Question& q) {
    if (q.name == "web.b.example") return BothFamilies(q);
    return q.ipv6 ? Reply{.silent = true} : Reply{.code = ScriptedDns::kNoSuchName};
  });
  WriteResolvConf("nameserver 127.0.0.1\nsearch a.example b.example\n");
  // No time passes, so the lookup cannot have waited for the silent answers.
  UseManualClock();
  EXPECT_THAT(Resolve("web:80").addresses, SizeIs(2));
}

TEST(SearchNames, FollowNdots) {
  const std::vector<std::string> search = {"x.org", "y.org."};
  EXPECT_THAT(SearchNames("a", search, 1), ElementsAre("a.x.org", "a.y.org", "a"));
  EXPECT_THAT(SearchNames("a.b", search, 1), ElementsAre("a.b", "a.b.x.org", "a.b.y.org"));
  EXPECT_THAT(SearchNames("a.b", search, 2), ElementsAre("a.b.x.org", "a.b.y.org", "a.b"));
  EXPECT_THAT(SearchNames("a.", search, 5), ElementsAre("a"));
  EXPECT_THAT(SearchNames("a", {}, 1), ElementsAre("a"));
  EXPECT_THAT(SearchNames(std::string(250, 'a'), search, 1), SizeIs(1)) << "too long with a domain";
}

// ---- Errors

TEST_F(ResolverTest, ErrorsNameTheNameTheVerdictAndTheServer) {
  // With a search list the error has several names to tell.
  WriteResolvConf("nameserver 127.0.0.1\nsearch a.example\n");
  const std::pair<Reply, std::string> cases[] = {
      {{.code = ScriptedDns::kNoSuchName}, "no such name (NXDOMAIN)"},
      {{}, "no address (NODATA)"},
      {{.code = ScriptedDns::kServerFailed}, "SERVFAIL"},
      {{.code = ScriptedDns::kRefused}, "REFUSED"},
  };
  for (const auto& [reply, verdict] : cases) {
    thread_->Run([this] { resolver_.reset(); });
    Serve([reply = reply](const Question&) { return reply; });
    const absl::Status error = Resolve("web.example:80").error;
    EXPECT_TRUE(absl::IsUnavailable(error)) << error;
    EXPECT_THAT(std::string(error.message()),
                AllOf(HasSubstr("resolve web.example: "), HasSubstr(verdict),
                      HasSubstr("asked 127.0.0.1 for web.example, web.example.a.example")));
  }
}

TEST_F(ResolverTest, ItsLimitIsTheLoopsTime) {
  Serve([](const Question&) { return Reply{.silent = true}; });
  UseManualClock();
  Start("web.example:80", seconds(2));
  thread_->Advance(seconds(2) - Nanos(1));
  EXPECT_FALSE(told_.Get().over);
  thread_->Advance(Nanos(1));
  EXPECT_THAT(
      std::string(told_.Get().error.message()),
      AllOf(HasSubstr("resolve web.example: no answer from the name servers within 2000.0 ms"),
            HasSubstr("asked 127.0.0.1")));
}

// ---- Ends

TEST_F(ResolverTest, DoesNotCallBackAfterCancelNorForALookupThatANewOneReplaced) {
  Serve([](const Question&) { return Reply{.silent = true}; });
  Start("web.example:80");
  ASSERT_TRUE(dns_->WaitUntilAsked("web.example A"));
  thread_->Run([this] {
    resolver_->Cancel();
    resolver_->Cancel();
  });
  Start("web.example:80");
  // The new lookup replaces the silent one, which must not report anything.
  EXPECT_THAT(Resolve("db:80").addresses, SizeIs(2)) << "it goes on to work";
}

TEST_F(ResolverTest, MayBeDestroyedWithALookupUnderWayOrInsideItsCallback) {
  for (const bool silent : {true, false}) {
    Serve([=](const Question& q) { return silent ? Reply{.silent = true} : BothFamilies(q); });
    // The first name is asked of a name server, the second is in the hosts file, and the third is
    // numeric. The last two call back inside Resolve.
    for (const std::string text : {"web.example:80", "db:80", "127.0.0.1:1"}) {
      Notification done;
      std::unique_ptr<Resolver> resolver;
      thread_->Run([&] {
        resolver = std::make_unique<Resolver>(thread_->loop(), options_);
        resolver->Resolve(*HostPort::Parse(text), seconds(30), [&](auto, bool) {
          resolver.reset();
          done.Notify();
        });
      });
      if (silent && text[0] == 'w') {
        ASSERT_TRUE(dns_->WaitUntilAsked("web.example A"));
        thread_->Run([&] { resolver.reset(); });
      } else {
        ASSERT_TRUE(done.Wait());
      }
      thread_->Settle();
    }
  }
}

TEST_F(ResolverTest, LeavesNothingBehindWhenItsLoopStopsWithALookupUnderWay) {
  Serve([](const Question&) { return Reply{.silent = true}; });
  LoopThread thread;
  std::unique_ptr<Resolver> under_way;
  class Destroyer final : public LoopTask {
   public:
    explicit Destroyer(std::unique_ptr<Resolver>& r) : r_(r) {}
    void Run() override { ADD_FAILURE() << "the loop had stopped"; }
    void Cancel() override { r_.reset(); }

   private:
    std::unique_ptr<Resolver>& r_;
  } destroyer(under_way);
  thread.Run([&] {
    under_way = std::make_unique<Resolver>(thread.loop(), options_);
    under_way->Resolve(*HostPort::Parse("web.example:1"), seconds(30),
                       [&](auto, bool) { ADD_FAILURE(); });
    thread.loop().Stop();
    // The loop has been told to stop. It cancels this task while it closes, on its own thread,
    // where a resolver may be destroyed.
    thread.loop().Post(&destroyer);
  });
  thread.Stop();
  EXPECT_EQ(under_way, nullptr);
}

}  // namespace
}  // namespace weft::internal
