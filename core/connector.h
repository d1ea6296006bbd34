// One non-blocking connect: a name or address to a connected transport, within a time limit.
//
// A name's addresses are tried in turn, each with a head start before the next (RFC 8305, "happy
// eyeballs"): the first that connects wins, and the others are closed. Attempts that were given up
// go on beside the later ones. The lookup may take two thirds of the limit; trying begins as soon
// as there is an address, with 50 ms more, a quarter of what is left at most, for the IPv6 answer
// where the IPv4 one came first. The head start is 250 ms, or less where the time that is left must
// do for more addresses. Addresses that failed are tried last the next time. An in-process address
// is dialled on the network it was given.
//
// Threads  loop-only
// Owns     the lookup and the sockets of its attempts; the transport until it hands it over
// Errors   a Status that names peer, phase (resolve, connect), each address with its errno, and the
//          time it took
// Ends     each Start calls back exactly once, unless it was cancelled or the connector was
//          destroyed
#ifndef WEFT_CORE_CONNECTOR_H_
#define WEFT_CORE_CONNECTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weft/core/candidate_addresses.h"
#include "weft/core/dial_errors.h"
#include "weft/core/event_loop.h"
#include "weft/core/in_process_network.h"
#include "weft/core/resolver.h"
#include "weft/core/socket.h"
#include "weft/core/timer.h"
#include "weft/core/transport.h"

namespace weft::internal {

class Connector final {
 public:
  using OnConnected = std::function<void(absl::StatusOr<std::unique_ptr<Transport>>)>;

  static constexpr Nanos kHeadStart = std::chrono::milliseconds(250);
  static constexpr Nanos kMinHeadStart = std::chrono::milliseconds(10);
  static constexpr Nanos kResolutionDelay = std::chrono::milliseconds(50);
  // In memory, where nobody answers: the first pause before the next try, which doubles, as TCP's.
  static constexpr Nanos kFirstAgain = std::chrono::seconds(1);

  // `network` is for in-process addresses; null: there are none.
  explicit Connector(EventLoop& loop, std::shared_ptr<InProcessNetwork> network = nullptr,
                     ResolverOptions resolver = {});
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // One at a time: a new one cancels the last. Never calls back inside Start.
  void Start(const HostPort& target, const std::string& target_text, Nanos limit,
             OnConnected done) WEFT_LOOP_ONLY;
  void Cancel() WEFT_LOOP_ONLY;
  // Tells that the connection handed over last was of no use: the next Start tries its address
  // last.
  void AvoidLast() WEFT_LOOP_ONLY;
  // A later Start would do something otherwise than that of a new connector.
  bool remembers() const WEFT_LOOP_ONLY { return addresses_.remembers(); }

 private:
  class Attempt;

  void Begin() WEFT_LOOP_ONLY;
  void DialInProcess() WEFT_LOOP_ONLY;
  void OnFound(absl::StatusOr<std::vector<SocketAddress>> found, bool last) WEFT_LOOP_ONLY;
  void TryNext() WEFT_LOOP_ONLY;
  void OnDecided(Attempt* attempt) WEFT_LOOP_ONLY;
  void Connected(const SocketAddress& address, Socket socket) WEFT_LOOP_ONLY;
  void OnLimit() WEFT_LOOP_ONLY;
  // `why` may name the address again.
  void Failed(const SocketAddress& address, absl::string_view why) WEFT_LOOP_ONLY;
  Nanos HeadStart() WEFT_LOOP_ONLY;
  Nanos took() const WEFT_LOOP_ONLY { return loop_.clock().Now() - started_; }
  void Finish(absl::StatusOr<std::unique_ptr<Transport>> result) WEFT_LOOP_ONLY;

  EventLoop& loop_;
  const std::shared_ptr<InProcessNetwork> network_;
  Resolver resolver_ WEFT_LOOP_OWNED;
  Timer limit_ WEFT_LOOP_OWNED;
  Timer begin_ WEFT_LOOP_OWNED;
  Timer next_ WEFT_LOOP_OWNED;  // for the resolution delay first, then for the head starts
  HostPort target_ WEFT_LOOP_OWNED;
  OnConnected done_ WEFT_LOOP_OWNED;
  MonoTime started_ WEFT_LOOP_OWNED{};
  MonoTime ends_ WEFT_LOOP_OWNED{};
  Nanos again_ WEFT_LOOP_OWNED{};
  bool all_found_ WEFT_LOOP_OWNED = false;
  CandidateAddresses addresses_ WEFT_LOOP_OWNED;
  std::vector<std::unique_ptr<Attempt>> attempts_ WEFT_LOOP_OWNED;  // under way, oldest first
  DialErrors errors_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CONNECTOR_H_
