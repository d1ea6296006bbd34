// Asks the name servers of resolv.conf for the addresses of one name after the other, by c-ares, on
// a loop that is never blocked.
//
// IPv4 and IPv6 addresses are two questions with an answer each, for either may never come. A
// server that is silent, refuses or fails is followed by the next one; a truncated answer is asked
// for again over TCP. Configuration is read when the client is made: one lookup, one client.
//
// Threads  loop-only
// Owns     its c-ares channel and the sockets of it
// Errors   Create: a Status with c-ares' reason
// Ends     its destruction ends all questions without an answer; legal inside OnAnswer
#ifndef WEFT_CORE_DNS_CLIENT_H_
#define WEFT_CORE_DNS_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/event_loop.h"
#include "weft/core/resolver_options.h"
#include "weft/core/socket_address.h"

namespace weft::internal {

class DnsClient {
 public:
  enum class Verdict : uint8_t {
    kFound,
    kNoAddress,  // the name is there, without an address of this family
    kNoName,     // no such name, whatever is asked for
    kFailed,     // nobody could say
  };
  struct Answer {
    int family = 0;
    Verdict verdict = Verdict::kFailed;
    std::vector<SocketAddress> addresses;  // without a port
    std::string why;                       // of all verdicts but kFound
  };
  using OnAnswer = std::function<void(Answer)>;
  // The rest of what resolv.conf and nsswitch.conf say.
  struct Facts {
    std::vector<std::string> search;
    int ndots = 1;
    std::string lookups;  // 'f' for files and 'b' for DNS, in their order
    std::string servers;  // for texts of errors
  };

  // `limit`: the time of the whole lookup, of which each server gets its part.
  static absl::StatusOr<std::unique_ptr<DnsClient>> Create(EventLoop& loop,
                                                           const ResolverOptions& options,
                                                           Nanos limit,
                                                           OnAnswer on_answer) WEFT_LOOP_ONLY;
  ~DnsClient();
  DnsClient(const DnsClient&) = delete;
  DnsClient& operator=(const DnsClient&) = delete;

  const Facts& facts() const WEFT_LOOP_ONLY;
  // Asks for both families of `name`, which is absolute. Ends what was asked before. Never answers
  // inside.
  void Ask(const std::string& name) WEFT_LOOP_ONLY;

 private:
  class Channel;
  explicit DnsClient(std::unique_ptr<Channel> channel);

  std::unique_ptr<Channel> channel_ WEFT_LOOP_OWNED;
};

// How long one of `servers` is waited for: as configured, or less, so that a lookup of `limit`
// comes to each of them and to the first once more; at least 100 ms.
Nanos TimeForOneServer(Nanos configured, Nanos limit, int servers);

}  // namespace weft::internal

#endif  // WEFT_CORE_DNS_CLIENT_H_
