// A client's view of one server: calls start on it, over one connection that it keeps up.
//
//   absl::StatusOr<std::unique_ptr<weft::Channel>> channel =
//       weft::Channel::Create("127.0.0.1:7000");
//   demo::Greeter::Stub greeter(**channel);
//
// Connects with the first call. Calls made while it connects wait, within their deadlines; when an
// attempt fails they end with UNAVAILABLE, and so do calls made until the next attempt begins. A
// lost connection is made again at once, a failed attempt after a pause that grows
// (ChannelOptions::backoff).
//
// Callbacks run on its I/O thread or on their call's executor, once each, and never inside a call
// that the application makes (core/callback_queue.h): a lock may be held around everything here
// that does not wait.
//
// Threads  any. The destructor waits: not under a lock that a callback or a handler takes
// Owns     its connection and, without a shared Runtime, its I/O thread
// Errors   Create: INVALID_ARGUMENT for an address that cannot be. A call's Status names peer,
//          phase, cause and time
// Ends     the destructor ends calls under way with UNAVAILABLE and returns when their callbacks
//          have run; on an I/O thread, in a callback and in a handler of its own services it
//          returns at once, and they run later. In a process forked from its own, calls end with
//          FAILED_PRECONDITION inside Start, and the destructor leaves everything as it is
#ifndef WEFT_RPC_CHANNEL_H_
#define WEFT_RPC_CHANNEL_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/fork_guard.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/channel_options.h"

namespace weft {

namespace internal {
class CallStarter;
class EndpointConnection;
}  // namespace internal

class Channel final : public CallTarget {
 public:
  // "host:port", "10.0.0.7:7000", "[::1]:7000", "unix:/run/x.sock"; with
  // ChannelOptions::network "inproc:name".
  static absl::StatusOr<std::unique_ptr<Channel>> Create(std::string_view target,
                                                         ChannelOptions options = {});
  ~Channel() override;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void Start(internal::OutboundCall& call) override;

  // Connects now instead of with the first call.
  void Connect();

  const std::string& target() const;

  struct Counts {
    int64_t connects = 0;  // connections that came up
    int64_t failed_connects = 0;
    int64_t late_replies = 0;  // came after their call had ended
    int64_t resent = 0;        // times a call that no server had taken was sent again
    int64_t retries = 0;       // attempts after the first, by a RetryPolicy
    int64_t hedges = 0;        // attempts beside others, by a HedgingPolicy
    int64_t over_budget = 0;   // attempts that were not made: RetryBudgetOptions
    // Exceptions of callbacks and listeners, caught and logged; of all that share its runtime.
    int64_t callback_throws = 0;
  };
  Counts counts() const;
  // Of each method that was called on it, by name, those that the handlers of its services called
  // included. Beyond 256 methods the rest are counted together, as "other".
  std::vector<CallStatsSnapshot> Stats() const;
  // Where the channel's lines go: level and sink may be changed while it runs.
  const Log& log() const { return log_; }
  // The connections that exist: usually one, and those on which the server takes no more calls.
  std::vector<ConnectionInfo> connections() const;

 private:
  // `in_handler`: this thread may be inside a handler of the channel's services; null: it has none.
  Channel(std::shared_ptr<Runtime> runtime,
          std::shared_ptr<internal::EndpointConnection> connection,
          std::shared_ptr<internal::CallStarter> starter, std::function<bool()> in_handler,
          Log log);
  void RefuseInChild(internal::OutboundCall& call);

  const internal::ForkGuard home_;
  std::shared_ptr<Runtime> runtime_;
  const std::shared_ptr<internal::EndpointConnection> connection_;
  const std::shared_ptr<internal::CallStarter> starter_;
  const std::function<bool()> in_handler_;
  const Log log_;
};

}  // namespace weft

#endif  // WEFT_RPC_CHANNEL_H_
