// Says where names are looked up. Tests put files and a port of their own in the place of the
// system's.
//
// Threads  value
#ifndef WEFT_CORE_RESOLVER_OPTIONS_H_
#define WEFT_CORE_RESOLVER_OPTIONS_H_

#include <cstdint>
#include <string>

#include "weft/core/clock.h"

namespace weft::internal {

struct ResolverOptions {
  // Read anew for each lookup, so that a change holds from the next one on.
  std::string hosts = "/etc/hosts";
  std::string resolv_conf = "/etc/resolv.conf";
  // The port of name servers.
  uint16_t dns_port = 53;
  // How long one name server is waited for before the next is asked. Zero: as resolv.conf says
  // (`timeout`, 5 s), and less where the lookup's time would not do for all servers and the first
  // once more.
  Nanos try_time = Nanos::zero();
};

}  // namespace weft::internal

#endif  // WEFT_CORE_RESOLVER_OPTIONS_H_
