#include "weft/rpc/base/protobuf_log.h"

#include <string>

#include <google/protobuf/stubs/logging.h>

#include "weft/core/thread_log.h"

namespace weft::internal {
namespace {

using google::protobuf::LogHandler;

// The handler that was set before ours; null: protobuf drops lines. Written once, before ours is
// set, so OnLine reads it without a lock.
constinit LogHandler* before = nullptr;

LogLevel LevelOf(google::protobuf::LogLevel level) {
  switch (level) {
    case google::protobuf::LOGLEVEL_INFO:
      return LogLevel::kInfo;
    case google::protobuf::LOGLEVEL_WARNING:
      return LogLevel::kWarning;
    default:
      return LogLevel::kError;
  }
}

void OnLine(google::protobuf::LogLevel level, const char* file, int line,
            const std::string& message) {
  if (const Log* const log = ThreadLog::Current()) {
    log->WriteForeign(LevelOf(level), "protobuf", message);
  } else if (before != nullptr) {
    before(level, file, line, message);
  }
}

LogHandler* SetOurs() {
  // protobuf returns the old handler only in exchange for another one. Lines that other threads
  // write between these two calls are dropped.
  before = google::protobuf::SetLogHandler(nullptr);
  google::protobuf::SetLogHandler(&OnLine);
  return before;
}

}  // namespace

void ProtobufLog::Install() {
  static LogHandler* const installed = SetOurs();
  (void)installed;
}

}  // namespace weft::internal
