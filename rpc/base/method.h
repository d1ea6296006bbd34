// The facts about a method at compile time: its names, kind and options.
//
// Generated code holds one constant for each method (`demo::Greeter::kSay`); everything that
// concerns a method, on either side, refers to it by the address of that constant.
//
// Threads  value; constants with static storage
#ifndef WEFT_RPC_BASE_METHOD_H_
#define WEFT_RPC_BASE_METHOD_H_

#include <cstdint>
#include <string_view>

#include "weft/core/requirements.h"

namespace weft {

enum class MethodKind : uint8_t { kUnary, kClientStreaming, kServerStreaming, kBidirectional };

struct MethodInfo {
  std::string_view service;    // "demo.Greeter"
  std::string_view name;       // "Say"
  std::string_view full_name;  // "demo.Greeter/Say"
  MethodKind kind = MethodKind::kUnary;
  // Its handler runs on the I/O thread, and must not block.
  bool run_inline = false;
  // Executing the call twice is as good as once, so it may be retried and hedged.
  bool idempotent = false;
  // The client's timeout where the call gives none. 0: the channel's timeout.
  uint32_t timeout_ms = 0;
  // Calls of one connection, or of one node, are executed one at a time, in their order.
  bool ordered = false;
  // The name of the worker pool that runs the handler. Empty: the pool that all methods share.
  std::string_view pool = {};
};

// A unary method with its message types.
template <typename Request, typename Reply>
struct UnaryMethod : MethodInfo {
  constexpr explicit UnaryMethod(MethodInfo info) : MethodInfo(info) {}
};

// Streaming methods with their message types.
template <typename Request, typename Reply>
struct ClientStreamingMethod : MethodInfo {
  constexpr explicit ClientStreamingMethod(MethodInfo info) : MethodInfo(info) {}
};
template <typename Request, typename Reply>
struct ServerStreamingMethod : MethodInfo {
  constexpr explicit ServerStreamingMethod(MethodInfo info) : MethodInfo(info) {}
};
template <typename Request, typename Reply>
struct BidirectionalMethod : MethodInfo {
  constexpr explicit BidirectionalMethod(MethodInfo info) : MethodInfo(info) {}
};

// True if the client, or the server, sends a stream of messages instead of one.
constexpr bool ClientStreams(MethodKind kind) {
  return kind == MethodKind::kClientStreaming || kind == MethodKind::kBidirectional;
}
constexpr bool ServerStreams(MethodKind kind) {
  return kind == MethodKind::kServerStreaming || kind == MethodKind::kBidirectional;
}

}  // namespace weft

#endif  // WEFT_RPC_BASE_METHOD_H_
