#include "weft/core/resolver.h"

#include <errno.h>
#include <event2/dns.h>
#include <event2/util.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft {

// One getaddrinfo under way; frees itself when libevent is done with it, which may be after its resolver.
struct Resolver::Lookup {
  Resolver* resolver;
  std::string host;
  OnResolved done;
  evdns_getaddrinfo_request* request = nullptr;

  static void OnAnswer(int error, evutil_addrinfo* list, void* self) {
    auto* lookup = static_cast<Lookup*>(self);
    std::vector<SocketAddress> addresses;
    for (evutil_addrinfo* a = list; a != nullptr; a = a->ai_next) {
      addresses.push_back(SocketAddress::FromSockaddr(a->ai_addr, static_cast<socklen_t>(a->ai_addrlen)));
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
    std::stable_sort(addresses.begin(), addresses.end(), [](const SocketAddress& a, const SocketAddress& b) {
      return a.family() == AF_INET && b.family() != AF_INET;
    });
    if (error != 0 || addresses.empty()) {
      done(absl::UnavailableError(absl::StrCat("resolve ", host, ": ",
                                               error != 0 ? evutil_gai_strerror(error) : "no address")));
    } else {
      done(std::move(addresses));
    }
  }
};

Resolver::~Resolver() WEFT_NO_THREAD_ANALYSIS {
  Cancel();
  if (dns_ != nullptr) evdns_base_free(dns_, 0);
}

void Resolver::Cancel() {
  Lookup* const lookup = std::exchange(lookup_, nullptr);
  if (lookup == nullptr) return;
  lookup->resolver = nullptr;
  if (lookup->request != nullptr) evdns_getaddrinfo_cancel(lookup->request);  // answers later, to nobody
}

void Resolver::Resolve(const HostPort& host_port, OnResolved done) {
  Cancel();
  absl::StatusOr<SocketAddress> address = SocketAddress::From(host_port);
  if (address.ok()) {
    done(std::vector<SocketAddress>{*address});
    return;
  }
  if (dns_ == nullptr) {
    // Not keeping the loop busy while idle matters more than a warm name server.
    dns_ = evdns_base_new(loop_.base(), EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns_ == nullptr) {
      dns_ = evdns_base_new(loop_.base(), EVDNS_BASE_DISABLE_WHEN_INACTIVE);
      if (dns_ != nullptr) evdns_base_load_hosts(dns_, nullptr);
    }
    if (dns_ == nullptr) {
      done(absl::UnavailableError(absl::StrCat("resolve ", host_port.host, ": cannot start a resolver")));
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
  evdns_getaddrinfo_request* request =
      evdns_getaddrinfo(dns_, host_port.host.c_str(), port.c_str(), &hints, &Lookup::OnAnswer, lookup);
  // Null: answered already, from the hosts file or with an error; `lookup` is gone then.
  if (request != nullptr) lookup->request = request;
}

}  // namespace weft
