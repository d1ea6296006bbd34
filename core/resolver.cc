#include "weft/core/resolver.h"

#include <errno.h>

#include <algorithm>
#include <string>
#include <utility>

#include <event2/dns.h>
#include <event2/util.h>

#include "absl/strings/str_cat.h"

namespace weft {

namespace {

// Later, for libevent may have put off callbacks that look at it: not before the loop has polled
// once more. Lookups under way are failed by it.
void FreeLater(EventLoop& loop, evdns_base* dns, bool polled) {
  loop.Post([&loop, dns, polled](TaskFate fate) {
    if (fate == TaskFate::kRun && !polled) {
      FreeLater(loop, dns, true);
    } else {
      evdns_base_free(dns, 1);
    }
  });
}

}  // namespace

// One getaddrinfo under way; frees itself when libevent is done with it, which may be after its
// resolver.
struct Resolver::Lookup {
  Resolver* resolver;
  std::string host;
  OnResolved done;

  static void OnAnswer(int error, evutil_addrinfo* list, void* self) {
    auto* lookup = static_cast<Lookup*>(self);
    std::vector<SocketAddress> addresses;
    for (evutil_addrinfo* a = list; a != nullptr; a = a->ai_next) {
      addresses.push_back(
          SocketAddress::FromSockaddr(a->ai_addr, static_cast<socklen_t>(a->ai_addrlen)));
    }
    if (list != nullptr) evutil_freeaddrinfo(list);
    Resolver* const resolver = lookup->resolver;
    if (resolver == nullptr) {  // cancelled
      delete lookup;
      return;
    }
    resolver->loop_.AssertInLoop();
    resolver->lookup_ = nullptr;
    OnResolved done = std::move(lookup->done);
    const std::string host = std::move(lookup->host);
    delete lookup;
    std::stable_sort(addresses.begin(), addresses.end(),
                     [](const SocketAddress& a, const SocketAddress& b) {
                       return a.family() == AF_INET && b.family() != AF_INET;
                     });
    if (error != 0 || addresses.empty()) {
      done(absl::UnavailableError(absl::StrCat(
          "resolve ", host, ": ", error != 0 ? evutil_gai_strerror(error) : "no address")));
    } else {
      done(std::move(addresses));
    }
  }
};

Resolver::~Resolver() WEFT_NO_THREAD_ANALYSIS {
  Cancel();
  if (dns_ != nullptr) FreeLater(loop_, dns_, false);
}

void Resolver::Cancel() {
  // It ends in its own time, with an answer to nobody: cancelled, it could not be told from one
  // that libevent still has to call back when its evdns_base goes.
  if (Lookup* const lookup = std::exchange(lookup_, nullptr)) lookup->resolver = nullptr;
}

void Resolver::Resolve(const HostPort& host_port, OnResolved done) {
  Cancel();
  absl::StatusOr<SocketAddress> address = SocketAddress::From(host_port);
  if (address.ok()) {
    done(std::vector<SocketAddress>{*address});
    return;
  }
  if (!absl::IsNotFound(address.status())) {
    done(absl::UnavailableError(
        absl::StrCat("resolve ", host_port.host, ": ", std::string(address.status().message()))));
    return;
  }
  if (dns_ == nullptr) {
    // Not keeping the loop busy while idle matters more than a warm name server.
    dns_ = evdns_base_new(loop_.base(),
                          EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns_ == nullptr) {
      dns_ = evdns_base_new(loop_.base(), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
      if (dns_ != nullptr) evdns_base_load_hosts(dns_, nullptr);
    }
    if (dns_ == nullptr) {
      done(absl::UnavailableError(
          absl::StrCat("resolve ", host_port.host, ": cannot start a resolver")));
      return;
    }
  }
  evutil_addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  hints.ai_flags = EVUTIL_AI_ADDRCONFIG;
  auto* lookup = new Lookup{this, host_port.host, std::move(done)};
  lookup_ = lookup;
  const std::string port = absl::StrCat(host_port.port);
  // May answer at once, from the hosts file or with an error; `lookup`, and perhaps the resolver,
  // are gone then.
  evdns_getaddrinfo(dns_, host_port.host.c_str(), port.c_str(), &hints, &Lookup::OnAnswer, lookup);
}

}  // namespace weft
