// Makes addresses of names, by libevent's evdns, without blocking its loop.
//
// Numeric and unix addresses are answered at once. Names are looked up in /etc/hosts and by the
// servers of /etc/resolv.conf; IPv4 and IPv6 answers are both given, IPv4 first.
//
// Threads  loop-only
// Owns     its evdns_base, made at the first name
// Errors   a Status that names the host and evdns' reason
// Ends     each Resolve calls back exactly once, unless it was cancelled or the resolver was
// destroyed
#ifndef WEFT_CORE_RESOLVER_H_
#define WEFT_CORE_RESOLVER_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/event_loop.h"
#include "weft/core/socket_address.h"

struct evdns_base;

namespace weft {

class Resolver {
 public:
  using OnResolved = std::function<void(absl::StatusOr<std::vector<SocketAddress>>)>;

  explicit Resolver(EventLoop& loop) : loop_(loop) {}
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // One at a time: a new one cancels the last.
  void Resolve(const HostPort& host_port, OnResolved done) LOOP_ONLY;
  void Cancel() LOOP_ONLY;

 private:
  struct Lookup;

  EventLoop& loop_;
  evdns_base* dns_ LOOP_OWNED = nullptr;
  Lookup* lookup_ LOOP_OWNED = nullptr;
};

}  // namespace weft

#endif  // WEFT_CORE_RESOLVER_H_
