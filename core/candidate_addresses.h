// The addresses of one target, in the order in which they are tried.
//
//   Add ─► untried, in order ─TakeNext─► tried ─► SetConnected, or TryLast
//
// Addresses that failed, or did not answer within their head start, come last: in this dial and in
// later ones. Nothing is remembered of an address that was its dial's only one.
//
// Threads  one at a time
// Owns     the addresses
#ifndef WEFT_CORE_CANDIDATE_ADDRESSES_H_
#define WEFT_CORE_CANDIDATE_ADDRESSES_H_

#include <cstddef>
#include <vector>

#include "weft/core/socket_address.h"

namespace weft::internal {

class CandidateAddresses {
 public:
  // Further addresses of a target are not tried.
  static constexpr size_t kMax = 64;

  // A new dial.
  void Begin();
  // Addresses of this dial; those that were added before are left out.
  void Add(const std::vector<SocketAddress>& found);
  bool empty() const { return untried_.empty(); }
  // How many were not tried yet.
  size_t size() const { return untried_.size(); }
  SocketAddress TakeNext();
  // The dial is over: nothing is left of its addresses, their memory included.
  void Clear();

  // Later dials try `address` after all others that never failed.
  void TryLast(const SocketAddress& address);
  // Connected: it is not among the last any more.
  void SetConnected(const SocketAddress& address);
  // The connection that this dial made came to nothing: its address is tried last.
  void TryConnectedLast();
  // A later dial has to know something of this one, or of one before.
  bool remembers() const { return !last_.empty(); }

 private:
  // This dial's state.
  std::vector<SocketAddress> all_;
  std::vector<SocketAddress> untried_;  // the next one first
  SocketAddress connected_;
  bool alone_ = false;  // of the dial that is over: it had one address
  // Kept from one dial to the next.
  std::vector<SocketAddress> last_;  // the one that failed the longest ago first
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CANDIDATE_ADDRESSES_H_
