// The kinds of calls of a history: a method, and the style in which it is called or handled.
//
// Threads  value
#ifndef WEFT_TESTS_HISTORY_CALL_KIND_H_
#define WEFT_TESTS_HISTORY_CALL_KIND_H_

#include <cstddef>
#include <cstdint>

namespace weft::test {

enum class CallStyle : uint8_t { kBlocking, kCallback, kCoroutine };
constexpr size_t kCallStyles = 3;

// Called by callers; then, what handlers call back to their callers.
enum class CallMethod : uint8_t {
  kEcho,
  kInline,
  kIdempotent,
  kAdd,   // the client streams
  kList,  // the server streams
  kTalk,  // both stream
  kBackEcho,
  kBackAdd,
  kBackList,
  kBackTalk,
};
constexpr size_t kCallMethods = 10;
constexpr int64_t kBackMethods = 4;

// Each method, each style of its caller, each style of its handler.
constexpr size_t kAllKinds = kCallMethods * kCallStyles * kCallStyles;

struct CallKind {
  CallMethod method = CallMethod::kEcho;
  CallStyle style = CallStyle::kBlocking;
};

inline const char* NameOf(CallStyle style) {
  static constexpr const char* kNames[kCallStyles] = {"blocking", "callback", "coroutine"};
  return kNames[static_cast<size_t>(style)];
}

inline const char* NameOf(CallMethod method) {
  static constexpr const char* kNames[kCallMethods] = {"echo",
                                                       "inline echo",
                                                       "idempotent echo",
                                                       "client streams",
                                                       "server streams",
                                                       "both stream",
                                                       "called back, echo",
                                                       "called back, client streams",
                                                       "called back, server streams",
                                                       "called back, both stream"};
  return kNames[static_cast<size_t>(method)];
}

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_KIND_H_
