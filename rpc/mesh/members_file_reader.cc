#include "weft/rpc/mesh/members_file_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/log.h"
#include "weft/rpc/mesh/members_file_parser.h"

namespace weft::internal {

MembersFileReader::MembersFileReader(std::shared_ptr<EventLoop> loop, Settings settings, Tell tell)
    : loop_(std::move(loop)),
      settings_(std::move(settings)),
      tell_(std::move(tell)),
      watch_(*loop_, settings_.path,
             [this](FileWatch::Change change) {
               loop_->AssertInLoop();
               OnChanged(change);
             }),
      quiet_(*loop_,
             [this] {
               loop_->AssertInLoop();
               OnQuiet();
             }),
      look_(*loop_, [this] {
        loop_->AssertInLoop();
        OnLook();
      }) {}

void MembersFileReader::Start() {
  if (phase_ != Phase::kIdle) return;
  phase_ = Phase::kReads;
  if (settings_.look_every > Nanos::zero()) look_.StartAfter(settings_.look_every);
  ReadNow();
}

void MembersFileReader::Stop() {
  phase_ = Phase::kStopped;
  watch_.Stop();
  quiet_.Stop();
  look_.Stop();
}

void MembersFileReader::Follow() {
  if (!settings_.inotify) return;
  // The watch is set before the file is read: a change during the reading then raises an event.
  absl::Status status = watch_.Follow();
  if (!status.ok() && status != followed_) {
    loop_->log().Warning(
        absl::StrCat("members file ", settings_.path,
                     ": changes are found by looking alone: ", std::string(status.message())));
  }
  followed_ = std::move(status);
}

void MembersFileReader::ReadNow() {
  // AskAgain rings from any thread, and may come before Start or after Stop.
  if (phase_ != Phase::kReads) return;
  quiet_.Stop();
  quiet_stamp_ = std::nullopt;
  Follow();
  const SmallFile::Stamp stamp = SmallFile::StampOf(settings_.path);
  absl::StatusOr<std::string> text = SmallFile::Read(settings_.path, settings_.max_bytes);
  last_read_ = loop_->clock().Now();
  // The file changed while it was read.
  if (absl::IsAborted(text.status())) {
    WaitUntilQuiet();
    return;
  }
  // The stamp taken before the reading counts: a change during it shows as a new stamp at the next
  // look.
  // Sure only when two readings had the same stamp: two changes within one tick of the file
  // system's clock look alike.
  sure_ = stamp == read_stamp_;
  read_stamp_ = stamp;
  if (!text.ok()) {
    tell_(text.status());
    return;
  }
  absl::StatusOr<View> view = MembersFileParser::Parse(*text);
  if (view.ok()) {
    tell_(std::move(view));
  } else {
    tell_(absl::Status(view.status().code(), absl::StrCat("members file ", settings_.path, ": ",
                                                          std::string(view.status().message()))));
  }
}

void MembersFileReader::OnChanged(FileWatch::Change change) {
  if (change == FileWatch::Change::kTouched) {
    WaitUntilQuiet();
    return;
  }
  // A file replaced again and again is read at most once in each quiet period.
  const MonoTime again =
      last_read_.has_value() ? SaturatingAdd(*last_read_, settings_.quiet) : MonoTime();
  if (loop_->clock().Now() >= again) {
    ReadNow();
  } else {
    quiet_stamp_ = std::nullopt;
    quiet_.StartAt(again);
  }
}

void MembersFileReader::WaitUntilQuiet() {
  quiet_stamp_ = SmallFile::StampOf(settings_.path);
  quiet_.StartAfter(settings_.quiet);
}

void MembersFileReader::OnQuiet() {
  // Without events only the stamp shows that the file is still being written.
  if (quiet_stamp_.has_value() && !(*quiet_stamp_ == SmallFile::StampOf(settings_.path))) {
    WaitUntilQuiet();
  } else {
    ReadNow();
  }
}

void MembersFileReader::OnLook() {
  look_.StartAfter(settings_.look_every);
  if (quiet_.armed()) return;  // it is about to be read
  if (!(SmallFile::StampOf(settings_.path) == read_stamp_)) {
    WaitUntilQuiet();
  } else if (!sure_) {
    ReadNow();
  } else if (!followed_.ok()) {
    // The watch failed before, perhaps for a limit of the system that has room again.
    Follow();
  }
}

}  // namespace weft::internal
