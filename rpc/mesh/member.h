// A member of a cluster: a node's name, and where it takes connections.
//
//   name     1 to 128 letters, digits and . _ -, the first of them a letter or a digit
//   address  as core/socket_address.h reads it, with a port that is not 0: "10.0.0.7:7000",
//            "db-0.db:7000", "[::1]:7000", "unix:/run/x.sock", "inproc:name"; printable ASCII
//            without spaces
//
// Upper and lower case differ in names, and are the same in hosts.
//
// Threads  value
// Errors   Check: INVALID_ARGUMENT that quotes the name or the address and says what is expected
#ifndef WEFT_RPC_MESH_MEMBER_H_
#define WEFT_RPC_MESH_MEMBER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/requirements.h"

namespace weft {

struct Member {
  static constexpr size_t kMaxName = 128;
  static constexpr size_t kMaxAddress = 300;

  std::string name = {};
  std::string address = {};

  static absl::Status CheckName(std::string_view name);
  static absl::Status CheckAddress(std::string_view address);
  absl::Status Check() const;
  // One text for all addresses that mean the same: "[::1]:7" for "[0:0:0:0:0:0:0:1]:07". Hosts'
  // names are not resolved. The address must pass Check.
  std::string CanonicalAddress() const;

  bool operator==(const Member& o) const { return name == o.name && address == o.address; }
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_MEMBER_H_
