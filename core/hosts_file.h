// Looks a name up in a hosts file.
//
// The file is read from its beginning for each lookup, as the system's resolver does: nothing is
// kept that could be out of date. Lines without an address are passed over.
//
// Threads  any
#ifndef WEFT_CORE_HOSTS_FILE_H_
#define WEFT_CORE_HOSTS_FILE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/socket_address.h"

namespace weft::internal {

// The addresses of all lines that have `name`, of either family, in the file's order, each once.
// Upper and lower case are the same. Empty: the name is not in it, or there is no such file.
std::vector<SocketAddress> FindInHosts(const std::string& file, std::string_view name,
                                       uint16_t port);

}  // namespace weft::internal

#endif  // WEFT_CORE_HOSTS_FILE_H_
