// A membership that is read from a file: when the file is read, and when just looked at. Files are
// real ones, so events come from the kernel; time is the test's.
#include "weft/rpc/mesh/members_file.h"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/log_lines.h"
#include "tests/support/loop_thread.h"
#include "tests/support/process_resources.h"
#include "tests/support/temp_dir.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The default of MembersFileOptions::quiet.
constexpr absl::Duration kQuiet = absl::Milliseconds(50);

// "17 a=h:1 b=h:2", or an error's message.
std::string TextOf(const absl::StatusOr<View>& news) {
  if (!news.ok()) return std::string(news.status().message());
  std::string text = absl::StrCat(news->version());
  for (const Member& member : news->members()) {
    absl::StrAppend(&text, " ", member.name, "=", member.address);
  }
  return text;
}

// The loop is the test's, and time moves when the test moves it: a change has been seen when two
// whole turns have gone by, and nothing else is read until then.
class MembersFileTest : public testing::Test {
 protected:
  MembersFileTest() : thread_(Options(clock_, log_)) {}
  ~MembersFileTest() override {
    if (members_ != nullptr) members_->Stop();
    members_ = nullptr;
    thread_.Stop();
  }

  static EventLoopOptions Options(ManualClock& clock, const std::shared_ptr<LogLines>& log) {
    EventLoopOptions options = LoopThread::Options();
    options.clock = &clock;
    options.log = Log(log, LogLevel::kWarning);
    return options;
  }
  void Start(MembersFileOptions options = {}) {
    options.loop = thread_.shared_loop();
    absl::StatusOr<std::shared_ptr<MembersFile>> made = MembersFile::Create(path_, options);
    ASSERT_TRUE(made.ok()) << made.status();
    members_ = *std::move(made);
    members_->Start([this](const absl::StatusOr<View>& news) {
      said_.Update([&](std::vector<std::string>& all) { all.push_back(TextOf(news)); });
    });
    thread_.Settle();
  }
  void Advance(absl::Duration d) {
    clock_.Advance(d);
    thread_.Settle();
  }
  // Returns the events since the last call.
  std::vector<std::string> Said() {
    thread_.Settle();
    std::vector<std::string> said;
    said_.Update([&](std::vector<std::string>& all) { said.swap(all); });
    return said;
  }
  // Truncates and writes in place: readers may see the file empty or cut.
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  void Replace(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    fs::rename(path_ + ".new", path_);
  }

  ManualClock clock_;
  const std::shared_ptr<LogLines> log_ = std::make_shared<LogLines>();
  LoopThread thread_;
  const TempDir dir_;
  std::string path_ = dir_.path() + "/members";
  Watched<std::vector<std::string>> said_;
  std::shared_ptr<MembersFile> members_;
};

TEST_F(MembersFileTest, IsReadAtTheStart) {
  Write("version 1\na h:1\nb h:2\n");
  Start();
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1 b=h:2"));
  EXPECT_EQ(log_->Text(), "");
}

TEST_F(MembersFileTest, IsReadAtOnceWhenAnotherIsRenamedOverIt) {
  Write("version 1\na h:1\n");
  Start();
  // A replaced file is read at once only if no reading was within the last quiet period.
  Advance(kQuiet);
  Replace("version 2\na h:1\nb h:2\n");
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1", "2 a=h:1 b=h:2")) << "without time passing";
}

TEST_F(MembersFileTest, Case07GivesTheNewAddressOfAMemberThatMoved) {
  Write("a h:1\nb h:2\n");
  std::vector<View> views;  // the loop's
  MembersFileOptions options;
  options.loop = thread_.shared_loop();
  members_ = *MembersFile::Create(path_, options);
  members_->Start([&](absl::StatusOr<View> news) {
    ASSERT_TRUE(news.ok()) << news.status();
    views.push_back(*std::move(news));
  });
  thread_.Settle();
  Advance(kQuiet);
  Replace("a h:1\nb h:22\n");
  thread_.Settle();
  thread_.Run([&] {
    ASSERT_THAT(views, SizeIs(2));
    EXPECT_NE(views[0].version(), views[1].version());
    const ViewDifference difference = ViewDifference::Between(views[0], views[1]);
    EXPECT_THAT(difference.moved, ElementsAre(ViewDifference::Move{{"b", "h:2"}, {"b", "h:22"}}));
    EXPECT_TRUE(difference.joined.empty() && difference.left.empty());
  });
}

// Every beginning of the text that ends behind a line is a view of a smaller cluster.
TEST_F(MembersFileTest, Case23WrittenInPlaceIsReadWhenNothingHasChangedItForAWhile) {
  Write("version 1\na h:1\nb h:2\n");
  Start();
  EXPECT_THAT(Said(), SizeIs(1));
  // Opening empties the file, which is the first change. Each step below waits one millisecond less
  // than the quiet period takes.
  const int file = ::open(path_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  ASSERT_GE(file, 0);
  thread_.Settle();
  Advance(kQuiet - absl::Milliseconds(1));
  const auto write = [&](const std::string& text) {
    return ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  };
  EXPECT_TRUE(write("version 2\na h:1\n"));
  thread_.Settle();
  Advance(kQuiet - absl::Milliseconds(1));
  EXPECT_THAT(Said(), IsEmpty()) << "neither an empty cluster nor one without b";
  EXPECT_TRUE(write("b h:2\nc h:3\n"));
  thread_.Settle();
  Advance(kQuiet - absl::Milliseconds(1));
  // Closing is no sign that the file is whole: the quiet period begins anew.
  ::close(file);
  thread_.Settle();
  Advance(kQuiet - absl::Milliseconds(1));
  EXPECT_THAT(Said(), IsEmpty()) << "another process may go on with it";
  Advance(absl::Milliseconds(1));
  EXPECT_THAT(Said(), ElementsAre("2 a=h:1 b=h:2 c=h:3"));
}

TEST_F(MembersFileTest, WhoseWriterForgetsToCloseItIsReadAllTheSame) {
  Write("version 1\na h:1\n");
  Start();
  const int file = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  EXPECT_EQ(::write(file, "b h:2\n", 6), 6);
  thread_.Settle();
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1", "1 a=h:1 b=h:2"));
  ::close(file);
}

TEST_F(MembersFileTest, Case23WithAFaultIsToldOnceAndLeavesTheLastView) {
  Write("version 1\na h:1\n");
  Start();
  const auto write = [&](const std::string& text) {
    Write(text);
    thread_.Settle();
    Advance(kQuiet);
    return Said();
  };
  Said();
  EXPECT_THAT(write(""),
              ElementsAre(absl::StrCat("members file ", path_, ": a view without members")));
  EXPECT_THAT(write("# nobody\n"), IsEmpty()) << "the same error";
  EXPECT_THAT(write("a h:1\na h:2\n"), ElementsAre(HasSubstr("line 2 \"a h:2\": member a twice")));
  EXPECT_THAT(write("a h:1\nb h:2"), ElementsAre(HasSubstr("line 2 \"b h:2\": the last line")));
  EXPECT_THAT(write(std::string(size_t{1} << 20, 'x') + "\n"),
              ElementsAre(HasSubstr("line 1 \"xxx")));
  // More than max_bytes: the file is not read to its end.
  EXPECT_THAT(write(std::string(size_t{5} << 20, 'x') + "\n"),
              ElementsAre(HasSubstr("too large (limit 4194304 bytes)")));
  // Each second the file is looked at; its fault is told no more.
  for (int looks = 0; looks < 5; ++looks) Advance(absl::Seconds(1));
  EXPECT_THAT(Said(), IsEmpty());
  EXPECT_THAT(write("version 1\na h:1\n"), ElementsAre("1 a=h:1")) << "it is well again";
}

// As Kubernetes updates a ConfigMap that is mounted.
TEST_F(MembersFileTest, BehindLinksIsReadWhenALinkInTheMiddleIsReplaced) {
  const std::string mount = dir_.path() + "/mount";
  const auto publish = [&](const std::string& version, const std::string& text) {
    fs::create_directories(mount + "/.." + version);
    std::ofstream(mount + "/.." + version + "/members") << text;
    fs::create_symlink(".." + version, mount + "/..data_tmp");
    // One renaming switches to the new directory. Neither the last link nor the file itself
    // changes.
    fs::rename(mount + "/..data_tmp", mount + "/..data");
  };
  publish("one", "version 1\na h:1\n");
  fs::create_symlink("..data/members", mount + "/members");
  path_ = mount + "/members";
  Start();
  Advance(kQuiet);
  publish("two", "version 2\na h:1\nb h:2\n");
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1", "2 a=h:1 b=h:2"));
  // Behind the switch the old version's directory is removed.
  fs::remove_all(mount + "/..one");
  thread_.Settle();
  Advance(kQuiet);
  EXPECT_THAT(Said(), IsEmpty());
  publish("three", "version 3\nc h:3\n");
  EXPECT_THAT(Said(), ElementsAre("3 c=h:3")) << "the way is followed anew each time";
}

TEST_F(MembersFileTest, ThatIsRemovedIsToldAfterAWhileAndAgainWhenItIsBack) {
  Write("version 1\na h:1\n");
  Start();
  Said();
  fs::remove(path_);
  EXPECT_THAT(Said(), IsEmpty()) << "an editor may be about to write another one";
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre(HasSubstr("No such file")));
  for (int looks = 0; looks < 5; ++looks) Advance(absl::Seconds(1));
  EXPECT_THAT(Said(), IsEmpty());
  Write("version 1\na h:1\n");
  thread_.Settle();
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1"));
}

TEST_F(MembersFileTest, MayComeLaterWithItsDirectory) {
  path_ = dir_.path() + "/etc/weft/members";
  Start();
  EXPECT_THAT(Said(), ElementsAre(HasSubstr("No such file")));
  fs::create_directories(dir_.path() + "/etc/weft");
  Write("version 1\na h:1\n");
  thread_.Settle();
  // The quiet period may have begun with the directory, and begin anew with the file.
  Advance(kQuiet);
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1"));
  Replace("version 2\na h:1\n");
  thread_.Settle();
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre("2 a=h:1")) << "its own directory is watched by now";
}

TEST_F(MembersFileTest, IsReadSeldomWhileItChangesAllTheTime) {
  Write("version 1\na h:1\n");
  Start();
  // No time passes between a thousand replacements, so all are within one quiet period.
  for (int version = 2; version <= 1001; ++version) {
    Replace(absl::StrCat("version ", version, "\na h:1\n"));
  }
  thread_.Settle();
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1", "1001 a=h:1"));
  EXPECT_THAT(Said(), IsEmpty());
}

// Counts the times that the file is opened, seen by inotify.
class Opens {
 public:
  explicit Opens(const std::string& path) : fd_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    EXPECT_GE(::inotify_add_watch(fd_, path.c_str(), IN_OPEN), 0);
  }
  ~Opens() { ::close(fd_); }
  Opens(const Opens&) = delete;
  Opens& operator=(const Opens&) = delete;

  // Some or none since it was asked last; equal events in a row are one.
  bool Any() {
    char events[4096];
    bool any = false;
    while (::read(fd_, events, sizeof events) > 0) any = true;
    return any;
  }

 private:
  const int fd_;
};

TEST_F(MembersFileTest, ThatDoesNotChangeIsOnlyLookedAt) {
  Write("version 1\na h:1\n");
  Start();
  // The first reading is over, and is not counted.
  Opens opens(path_);
  Advance(absl::Seconds(1));
  EXPECT_TRUE(opens.Any()) << "once more, for a change within the same tick of the clock";
  for (int looks = 0; looks < 20; ++looks) Advance(absl::Seconds(1));
  EXPECT_FALSE(opens.Any());
  EXPECT_THAT(Said(), SizeIs(1));
}

TEST_F(MembersFileTest, ThatOthersReadWakesNobody) {
  Write("version 1\na h:1\n");
  Start();
  // The loop sleeps, and will not wake by itself.
  const int64_t before = thread_.loop().counts().sleeps;
  thread_.Run([] {});
  ASSERT_TRUE(PollUntil([&] { return thread_.loop().counts().sleeps > before; }));
  const EventLoop::Counts asleep = thread_.loop().counts();
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    std::ifstream(path_) >> text;
  }
  // The watch asks for changes alone: opening and reading raise no event.
  EXPECT_EQ(thread_.loop().counts().turns, asleep.turns);
}

TEST_F(MembersFileTest, WithoutEventsIsFoundByLooking) {
  Write("version 1\na h:1\n");
  MembersFileOptions options;
  // As on a file system without notifications.
  options.inotify = false;
  Start(options);
  Replace("version 2\na h:1\n");
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1"));
  Advance(absl::Seconds(1));
  EXPECT_THAT(Said(), IsEmpty()) << "it may still be written";
  // The look has found a new stamp and waits. A change in that time makes it wait once more.
  Write("version 3\na h:1\nb h:2\n");
  Advance(kQuiet);
  EXPECT_THAT(Said(), IsEmpty()) << "as it was";
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre("3 a=h:1 b=h:2"));
}

TEST_F(MembersFileTest, IsReadAtOnceWhenItIsAskedFor) {
  Write("version 1\na h:1\n");
  MembersFileOptions options;
  options.inotify = false;
  // Neither events nor looks: only the question below reads the file again.
  options.look_every = absl::ZeroDuration();
  Start(options);
  Write("version 2\na h:1\n");
  Advance(absl::Hours(1));
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1"));
  members_->AskAgain();
  EXPECT_THAT(Said(), ElementsAre("2 a=h:1"));
}

// A loop's thread that has lost root's right to read everything.
TEST_F(MembersFileTest, InADirectoryThatCannotBeReadIsFoundWhenThatChanges) {
  const std::string inner = dir_.path() + "/inner";
  fs::create_directory(inner);
  path_ = inner + "/members";
  Write("version 1\na h:1\n");
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(inner.c_str(), 0), 0);
  const bool is_root = ::geteuid() == 0;
  thread_.Run([&] {
    // This identity is the thread's own, and for files only. The test's own thread may still do
    // everything.
    if (is_root) ::setfsuid(65534);
  });
  Start();
  EXPECT_THAT(Said(), ElementsAre(HasSubstr("Permission denied")));
  for (int looks = 0; looks < 5; ++looks) Advance(absl::Seconds(1));
  EXPECT_THAT(Said(), IsEmpty());
  // The watch is tried anew at each look, and its failure is logged once.
  EXPECT_EQ(log_->Count(), 1u) << log_->Text();
  EXPECT_THAT(log_->Text(), HasSubstr("changes are found by looking alone: watch directory"));
  ASSERT_EQ(::chmod(inner.c_str(), 0755), 0);
  Advance(absl::Seconds(1));
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1"));
  ASSERT_EQ(::chmod(path_.c_str(), 0), 0);
  thread_.Settle();
  Advance(kQuiet);
  EXPECT_THAT(Said(), ElementsAre(HasSubstr("Permission denied"))) << "told by inotify now";
  thread_.Run([&] {
    if (is_root) ::setfsuid(0);
  });
  // The kernel takes a process that changed who it is for a secret one, which no sanitizer may look
  // into.
  ::prctl(PR_SET_DUMPABLE, 1);
}

TEST_F(MembersFileTest, MayBeStoppedInsideItsCallback) {
  Write("version 1\na h:1\n");
  MembersFileOptions options;
  options.loop = thread_.shared_loop();
  members_ = *MembersFile::Create(path_, options);
  members_->Start([this](const absl::StatusOr<View>& news) {
    said_.Update([&](std::vector<std::string>& all) { all.push_back(TextOf(news)); });
    members_->AskAgain();
    members_->Stop();
  });
  EXPECT_THAT(Said(), ElementsAre("1 a=h:1"));
  const int64_t turns = thread_.loop().counts().turns;
  Replace("version 2\na h:1\n");
  for (int looks = 0; looks < 3; ++looks) Advance(absl::Seconds(1));
  members_->AskAgain();
  EXPECT_THAT(Said(), IsEmpty());
  // The loop has turned, so a reading that was still to come would have come.
  EXPECT_GT(thread_.loop().counts().turns, turns);
}

TEST_F(MembersFileTest, ThatIsStoppedIsNotWatchedAnyMore) {
  Write("version 1\na h:1\n");
  const int before = OpenDescriptors();
  Start();
  // The watch's descriptor; the loop has had its own before.
  EXPECT_EQ(OpenDescriptors(), before + 1);
  members_->Stop();
  members_->Stop();
  thread_.Settle();
  EXPECT_EQ(OpenDescriptors(), before);
  Opens opens(path_);
  Advance(absl::Seconds(1));
  EXPECT_FALSE(opens.Any());
}

TEST_F(MembersFileTest, ThatIsStoppedBeforeItStartsReadsNothing) {
  Write("version 1\na h:1\n");
  MembersFileOptions options;
  options.loop = thread_.shared_loop();
  members_ = *MembersFile::Create(path_, options);
  Opens opens(path_);
  members_->AskAgain();
  members_->Stop();
  members_->Start([](const absl::StatusOr<View>&) { ADD_FAILURE() << "it has been stopped"; });
  thread_.Settle();
  EXPECT_FALSE(opens.Any());
}

TEST_F(MembersFileTest, OnALoopThatHasClosedTellsNothing) {
  Write("version 1\na h:1\n");
  Start();
  // The calls below post to a loop that runs no more.
  thread_.Stop();
  members_->AskAgain();
  members_->Stop();
  members_ = nullptr;
}

// ---- On a thread of its own

// Time is the real one here.
class OwnMembersFile : public testing::Test {
 protected:
  void Replace(const std::string& text) {
    std::ofstream(path_ + ".new") << text;
    fs::rename(path_ + ".new", path_);
  }

  const TempDir dir_;
  const std::string path_ = dir_.path() + "/members";
  Watched<std::vector<std::string>> said_;
};

TEST_F(OwnMembersFile, FollowsItsFile) {
  Replace("version 1\na h:1\n");
  absl::StatusOr<std::shared_ptr<MembersFile>> members = MembersFile::Create(path_);
  ASSERT_TRUE(members.ok()) << members.status();
  (*members)->Start([this](const absl::StatusOr<View>& news) {
    said_.Update([&](std::vector<std::string>& all) { all.push_back(TextOf(news)); });
  });
  ASSERT_THAT(said_.Get(), SizeIs(1)) << "when Start returns";
  Replace("version 2\nb h:2\n");
  ASSERT_TRUE(said_.WaitFor([](const auto& all) { return all.size() == 2; }));
  EXPECT_THAT(said_.Get(), ElementsAre("1 a=h:1", "2 b=h:2"));
  (*members)->Stop();
}

TEST_F(OwnMembersFile, MayBeDestroyedInsideItsCallback) {
  Replace("version 1\na h:1\n");
  const int threads = RunningThreads();
  // The only owner goes into the callback and is let go there, on the thread that its destructor
  // would join.
  auto owner = std::make_shared<std::shared_ptr<MembersFile>>(*MembersFile::Create(path_));
  Notification told;
  MembersFile* const members = owner->get();
  members->Start([owner = std::move(owner), &told](const absl::StatusOr<View>&) {
    owner->reset();
    told.Notify();
  });
  EXPECT_TRUE(told.Wait());
  EXPECT_TRUE(HasThreads(threads)) << "its thread ends by itself";
}

TEST_F(OwnMembersFile, TakesARelativePathAndRefusesNone) {
  EXPECT_EQ(MembersFile::Create("").status().code(), absl::StatusCode::kInvalidArgument);
  absl::StatusOr<std::shared_ptr<MembersFile>> members = MembersFile::Create("no/such/members");
  ASSERT_TRUE(members.ok()) << members.status();
  (*members)->Start([this](const absl::StatusOr<View>& news) {
    said_.Update([&](std::vector<std::string>& all) { all.push_back(TextOf(news)); });
  });
  ASSERT_TRUE(said_.WaitFor([](const auto& all) { return all.size() == 1; }));
  EXPECT_THAT(said_.Get()[0], HasSubstr(fs::current_path().string() + "/no/such/members"));
}

TEST_F(OwnMembersFile, WithoutThreadsOrDescriptorsIsAnError) {
  {
    // Two descriptors are too few for a loop.
    const FewDescriptors few(2);
    EXPECT_EQ(MembersFile::Create(path_).status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_TRUE(MembersFile::Create(path_).ok());
}

}  // namespace
}  // namespace weft::internal
