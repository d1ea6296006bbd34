// The interceptors of one call: runs their hooks, each at its time and one at a time, catches what
// they throw, and counts the call's messages. Only calls of channels and servers that have
// interceptors have one.
//
// Made when its call starts, and destroyed with the call.
//
// Threads  any; the hooks of a call wait for each other
// Owns     what the interceptors keep for the call, until its end
// Ends     End, once; afterwards messages are nobody's
#ifndef WEFT_RPC_CALL_INTERCEPTION_H_
#define WEFT_RPC_CALL_INTERCEPTION_H_

#include <cstddef>
#include <memory>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/call/interceptor.h"

namespace weft::internal {

class InboundCall;
class OutboundCall;
struct CallEnd;

// The common part of both sides.
template <typename Interceptor, typename Start, typename End>
class WEFT_ANY_THREAD InterceptorHooks {
 public:
  // `side`: whose interceptors they are, for errors.
  explicit InterceptorHooks(const char* side) : side_(side) {}

  // Runs the start hooks; the error of the first that refuses, or throws.
  absl::Status RunStart(const std::vector<std::shared_ptr<Interceptor>>& interceptors,
                        const Start& start) WEFT_EXCLUDES(mu_);
  absl::Status RunMessage(MessageDirection direction, size_t bytes) WEFT_EXCLUDES(mu_);
  // Runs the end hooks. An exception of a hook turns an OK status into an error.
  void RunEnd(End& end) WEFT_EXCLUDES(mu_);

 private:
  const char* const side_;
  Mutex mu_;
  absl::InlinedVector<std::unique_ptr<typename Interceptor::Call>, 2> calls_ WEFT_GUARDED_BY(mu_);
  CallVolume volume_ WEFT_GUARDED_BY(mu_);
};

class ClientInterception {
 public:
  // The start hooks of `call`, whose `started` and `deadline` are set, and its request as the first
  // message. An error: the call ends with it.
  static absl::Status Start(const ClientInterceptors& interceptors, OutboundCall& call,
                            std::string_view target, const Clock& clock);

  absl::Status OnMessage(MessageDirection direction, size_t bytes) {
    return hooks_.RunMessage(direction, bytes);
  }
  // The end of `call` as its starter gets it.
  CallEnd End(const OutboundCall& call, const CallEnd& end);

  // Goes with the request.
  const Metadata& metadata() const { return metadata_; }

 private:
  InterceptorHooks<ClientInterceptor, ClientCallStart, ClientCallEnd> hooks_{"channel"};
  Metadata metadata_;
  const Clock* clock_ = nullptr;
};

class ServerInterception {
 public:
  // `side`: who serves, a server or a channel, for errors.
  explicit ServerInterception(const char* side) : hooks_(side) {}

  // The start hooks of `call`, whose metadata has been parsed. An error: it is refused with it.
  static absl::Status Start(const ServerInterceptors& interceptors, InboundCall& call,
                            const char* side);

  absl::Status OnMessage(MessageDirection direction, size_t bytes) {
    return hooks_.RunMessage(direction, bytes);
  }
  // The status that `call`, whose `answered` is set, is answered with; `reply_bytes` negative: it
  // has no reply.
  absl::Status End(InboundCall& call, const absl::Status& status, ptrdiff_t reply_bytes);

 private:
  InterceptorHooks<ServerInterceptor, ServerCallStart, ServerCallEnd> hooks_;
  MonoTime began_{};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INTERCEPTION_H_
