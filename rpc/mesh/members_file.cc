#include "weft/rpc/mesh/members_file.h"

#include <algorithm>
#include <filesystem>
#include <future>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/clock.h"
#include "weft/core/duration_check.h"
#include "weft/core/thread_start.h"

namespace weft {

using namespace internal;

namespace {

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("members file: no path");
  // Absolute from the beginning: a later chdir must not lead to another file.
  if (path.front() == '/') return path;
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("members file ", path, ": no current directory: ", error.message()));
  }
  return absl::StrCat(here.string(), "/", path);
}

absl::StatusOr<std::shared_ptr<EventLoop>> MakeLoop(const std::shared_ptr<LogSink>& sink) {
  EventLoopOptions options;
  options.name = "weft-members";
  // A loop that turns some times a minute must not spin.
  options.spin = Nanos::zero();
  options.log = Log(sink != nullptr ? sink : StderrLogSink(), LogLevel::kWarning);
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create(std::move(options));
  if (!loop.ok()) return loop.status();
  return std::shared_ptr<EventLoop>(*std::move(loop));
}

}  // namespace

absl::StatusOr<std::shared_ptr<MembersFile>> MembersFile::Create(std::string path,
                                                                 MembersFileOptions options) {
  if (absl::Status s = DurationCheck::All(
          "MembersFileOptions", {{"look_every", options.look_every},
                                 {"quiet", options.quiet, DurationCheck::Takes::kFinite}});
      !s.ok()) {
    return s;
  }
  absl::StatusOr<std::string> absolute = AbsolutePath(path);
  if (!absolute.ok()) return absolute.status();
  MembersFileReader::Settings settings;
  settings.path = *std::move(absolute);
  settings.look_every = ToNanos(options.look_every);
  settings.quiet = ToNanos(options.quiet);
  settings.max_bytes = options.max_bytes;
  settings.inotify = options.inotify;
  std::shared_ptr<EventLoop> loop = std::move(options.loop);
  std::thread thread;
  if (loop == nullptr) {
    absl::StatusOr<std::shared_ptr<EventLoop>> made = MakeLoop(options.log_sink);
    if (!made.ok()) return made.status();
    loop = *std::move(made);
    // The thread shares its loop: it may outlive this object by a moment.
    absl::StatusOr<std::thread> started = StartThread(loop->name(), [loop] { loop->Run(); });
    if (!started.ok()) return started.status();
    thread = *std::move(started);
  }
  return std::shared_ptr<MembersFile>(
      new MembersFile(std::move(loop), std::move(thread), std::move(settings)));
}

MembersFile::MembersFile(std::shared_ptr<EventLoop> loop, std::thread thread,
                         MembersFileReader::Settings settings)
    : loop_(std::move(loop)),
      thread_(std::move(thread)),
      teller_(std::make_shared<ViewTeller>()),
      // Teller and reader are shared with tasks on the loop, and may outlive this object by a turn.
      // So the callback holds the teller and not `this`.
      reader_(std::make_shared<MembersFileReader>(
          loop_, std::move(settings),
          [teller = teller_](absl::StatusOr<View> news) { teller->Tell(std::move(news)); })),
      ask_again_(std::make_shared<LoopBell>(loop_, [reader = reader_, on = loop_.get()] {
        on->AssertInLoop();
        reader->ReadNow();
      })) {}

MembersFile::~MembersFile() {
  Stop();
  if (!thread_.joinable()) return;
  loop_->Stop();
  if (loop_->InLoop()) {
    thread_.detach();  // the thread ends after the callback that it is in
  } else {
    thread_.join();
  }
}

void MembersFile::Start(Changed changed) {
  teller_->Start(std::move(changed));
  // Copies of all that is needed later: `changed` may destroy this object before Start returns.
  const bool waits = thread_.joinable() && !loop_->InLoop();
  const std::shared_ptr<EventLoop> own = loop_;
  const auto told = std::make_shared<std::promise<void>>();
  std::future<void> first = told->get_future();
  own->Post([loop = loop_, reader = reader_, told](TaskFate fate) {
    if (fate == TaskFate::kRun) {
      loop->AssertInLoop();
      reader->Start();
    }
    // In either case: a loop that has closed runs no task, and Start must not wait for ever.
    told->set_value();
  });
  // With a thread of its own the first view is told before Start returns. On a loop that the caller
  // gave, waiting could wait for itself.
  if (waits) first.wait();
}

void MembersFile::AskAgain() { ask_again_->Ring(); }

void MembersFile::Stop() {
  // First: when Stop returns nothing is told any more, although the reader stops only later.
  teller_->Stop();
  // Posted even on the loop itself: Stop may be called inside the reader's own callback.
  loop_->Post([loop = loop_, reader = reader_](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop->AssertInLoop();
    reader->Stop();
  });
}

}  // namespace weft
