// The services of one listener, where it does not offer all that its server has.
//
// LoopListeners makes one for a listener that names its services.
//
// Threads  loop-only, one a loop and listener
// Owns     nothing; the sink behind it outlives it
#ifndef WEFT_RPC_SERVER_LIMITED_SINK_H_
#define WEFT_RPC_SERVER_LIMITED_SINK_H_

#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "weft/rpc/call/inbound_sink.h"

namespace weft::internal {

class LimitedSink final : public InboundSink {
 public:
  // `services`: full names ("demo.Greeter"), which outlive the sink.
  LimitedSink(InboundSink& all, const absl::flat_hash_set<std::string>& services)
      : all_(all), services_(services) {}

  const BoundMethod* Find(std::string_view full_name) WEFT_LOOP_ONLY override;
  absl::Status Unknown(std::string_view full_name) WEFT_LOOP_ONLY override;
  void OnCallBegins(InboundCall& call) WEFT_LOOP_ONLY override { all_.OnCallBegins(call); }
  void OnCall(InboundCall& call) WEFT_LOOP_ONLY override { all_.OnCall(call); }
  void OnLookedThrough(size_t size) WEFT_LOOP_ONLY override { all_.OnLookedThrough(size); }
  void OnCancelled(InboundCall& call) WEFT_LOOP_ONLY override { all_.OnCancelled(call); }
  void OnAllCancelled(CallOrigin& origin) WEFT_LOOP_ONLY override { all_.OnAllCancelled(origin); }

 private:
  bool Offers(std::string_view full_name) const;

  InboundSink& all_;
  const absl::flat_hash_set<std::string>& services_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_LIMITED_SINK_H_
