// The text of a members file.
//
//   # the cluster in Frankfurt           a word that begins with # begins a comment
//   version 17                           at most once; a number from 1 on
//   a  10.0.0.1:7000                     a name and an address, with spaces or tabs between
//   b  db-1.db.example:7000
//
// Without a version line the version is the hash of the members. Every line must end, the last one
// too: a file still being written may be cut anywhere. A line may end with \r\n. A member cannot be
// named "version".
//
// Threads  any; functions without state
// Errors   INVALID_ARGUMENT for the whole text, with the number and the text of the first line at
//          fault; what is quoted is escaped and cut short
#ifndef WEFT_RPC_MESH_MEMBERS_FILE_PARSER_H_
#define WEFT_RPC_MESH_MEMBERS_FILE_PARSER_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/mesh/view.h"

namespace weft::internal {

class WEFT_ANY_THREAD MembersFileParser {
 public:
  static absl::StatusOr<View> Parse(std::string_view text);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_MEMBERS_FILE_PARSER_H_
