// Makes addresses of names, without blocking its loop: as the machine's resolver would, but for
// modules of nsswitch.conf other than files and dns.
//
// Numeric and unix addresses are answered at once. A name is looked for in the hosts file, and then
// asked of the name servers of resolv.conf, with its search list unless it ends in a dot; in the
// order of nsswitch.conf. "localhost" that is in no hosts file is 127.0.0.1 and ::1. All files are
// read anew for each lookup. IPv4 and IPv6 addresses are told as they come, for either answer may
// take long.
//
// Threads  loop-only
// Owns     the lookup under way
// Errors   a Status that names the host, the verdict, and the servers that were asked
// Ends     each Resolve calls back until it says that this was the last time, unless it was
//          cancelled or the resolver was destroyed; both are legal inside the callback
#ifndef WEFT_CORE_RESOLVER_H_
#define WEFT_CORE_RESOLVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/dns_client.h"
#include "weft/core/event_loop.h"
#include "weft/core/resolver_options.h"
#include "weft/core/socket_address.h"
#include "weft/core/timer.h"

namespace weft::internal {

class Resolver {
 public:
  // More addresses; with `last` perhaps none, after some have been told. An error comes only as the
  // last, where none has been told.
  using OnFound = std::function<void(absl::StatusOr<std::vector<SocketAddress>> found, bool last)>;

  explicit Resolver(EventLoop& loop, ResolverOptions options = {});
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // One at a time: a new one cancels the last. May call back inside.
  void Resolve(const HostPort& host_port, Nanos limit, OnFound on_found) WEFT_LOOP_ONLY;
  void Cancel() WEFT_LOOP_ONLY;

 private:
  bool FindInFiles() WEFT_LOOP_ONLY;
  void AskNext() WEFT_LOOP_ONLY;
  void OnAnswer(DnsClient::Answer answer) WEFT_LOOP_ONLY;
  void OnNobodyKnows() WEFT_LOOP_ONLY;
  void Tell(std::vector<SocketAddress> found, bool last) WEFT_LOOP_ONLY;
  void Fail(const std::string& why) WEFT_LOOP_ONLY;

  EventLoop& loop_;
  const ResolverOptions options_;
  Timer limit_ WEFT_LOOP_OWNED;
  OnFound on_found_ WEFT_LOOP_OWNED;
  std::unique_ptr<DnsClient> dns_ WEFT_LOOP_OWNED;
  std::string host_ WEFT_LOOP_OWNED;  // as it was asked for
  std::string name_ WEFT_LOOP_OWNED;  // without the dot of an absolute one
  uint16_t port_ WEFT_LOOP_OWNED = 0;
  Nanos time_ WEFT_LOOP_OWNED{};
  std::vector<std::string> candidates_ WEFT_LOOP_OWNED;  // with the search list
  size_t next_ WEFT_LOOP_OWNED = 0;
  int answers_left_ WEFT_LOOP_OWNED = 0;  // of the candidate that is asked for
  bool told_ WEFT_LOOP_OWNED = false;
  DnsClient::Answer worst_
      WEFT_LOOP_OWNED;  // the verdict that is reported where there is no address
};

// The names to ask name servers for, in their order: `name`, absolute or not, with a search list.
std::vector<std::string> SearchNames(const std::string& name,
                                     const std::vector<std::string>& search, int ndots);

}  // namespace weft::internal

#endif  // WEFT_CORE_RESOLVER_H_
