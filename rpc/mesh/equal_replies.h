// Counts equal values given by peers, and knows how many agree at most.
//
// Threads  value
// Owns     the different values, one copy of each
#ifndef WEFT_RPC_MESH_EQUAL_REPLIES_H_
#define WEFT_RPC_MESH_EQUAL_REPLIES_H_

#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message_lite.h>

#include "weft/core/requirements.h"

namespace weft::internal {

class EqualReplies {
 public:
  // Serializes `message` so that equal messages give the same bytes in every process of the same
  // build: maps are ordered by key.
  static std::string BytesOf(const google::protobuf::MessageLite& message);

  // Adds a peer's value; returns how many peers have given that value.
  int Add(std::string_view peer, std::string value);
  // Size of the largest group, and the peer that gave its value first; empty: no peer has.
  int most() const { return most_ < 0 ? 0 : groups_[static_cast<size_t>(most_)].count; }
  std::string_view first() const {
    return most_ < 0 ? std::string_view() : groups_[static_cast<size_t>(most_)].first;
  }
  // Number of different values.
  int different() const { return static_cast<int>(groups_.size()); }

 private:
  struct Group {
    std::string value;
    std::string first;
    int count;
  };
  std::vector<Group> groups_;
  int most_ = -1;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_EQUAL_REPLIES_H_
