#include "weft/rpc/mesh/equal_replies.h"

#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace weft::internal {

std::string EqualReplies::BytesOf(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    // Equal messages must have equal bytes: without this, entries of a map come in any order.
    out.SetSerializationDeterministic(true);
    // Partial: a reply without a required field is a value as any other here.
    (void)message.SerializePartialToCodedStream(&out);
  }
  return bytes;
}

int EqualReplies::Add(std::string_view peer, std::string value) {
  size_t at = 0;
  // Linear: there are at most as many groups as peers, and usually one.
  while (at < groups_.size() && groups_[at].value != value) ++at;
  if (at == groups_.size()) groups_.push_back({std::move(value), std::string(peer), 0});
  const int count = ++groups_[at].count;
  // Only a larger count replaces the group: of equal ones the first to get there stays.
  if (count > most()) most_ = static_cast<int>(at);
  return count;
}

}  // namespace weft::internal
