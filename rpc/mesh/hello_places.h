// Limits how many connections a node keeps that have not said Hello yet. Strangers who connect and
// say nothing must not take room from the node's peers.
//
//   Enter ──► a place; if all are taken, an older connection without Hello is closed for it
//   Leave ──► the Hello has come, or the connection has ended
//
// Members' addresses have kMembers places of their own, beside the shared kEverybodys. Members that
// the view names by a host's name are not recognised by address and count as strangers. One foreign
// address has at most kEach places. When all places are taken, the oldest connection of a foreign
// address closes. When members hold them all, nobody closes: a member would only connect again.
//
// Threads  any
// Owns     numbers and addresses of the connections that have a place
#ifndef WEFT_RPC_MESH_HELLO_PLACES_H_
#define WEFT_RPC_MESH_HELLO_PLACES_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/server/session_hooks.h"

namespace weft::internal {

class WEFT_ANY_THREAD HelloPlaces {
 public:
  static constexpr size_t kEverybodys = 128;
  static constexpr size_t kEach = 16;     // of one foreign address
  static constexpr size_t kMembers = 64;  // beside the shared ones

  // `addresses`: hosts, without ports.
  void SetMembers(std::set<std::string, std::less<>> addresses) WEFT_EXCLUDES(mu_);
  // `peer`: address and port. A peer without a host (unix socket, memory) needs no place. True:
  // `victim` must be closed to make room.
  bool Enter(const SessionRef& session, std::string_view peer, SessionRef* victim)
      WEFT_EXCLUDES(mu_);
  void Leave(uint64_t id) WEFT_EXCLUDES(mu_);
  size_t taken() const WEFT_EXCLUDES(mu_);

  // "10.0.0.7" of "10.0.0.7:7000", "::1" of "[::1]:7000"; empty: no host.
  static std::string_view HostOf(std::string_view peer);

 private:
  struct Place {
    SessionRef session;
    std::string host;
    bool member;
  };
  using Places = std::list<Place>;  // oldest first

  size_t CountOf(std::string_view host) const WEFT_REQUIRES(mu_);
  void Remove(Places::iterator place) WEFT_REQUIRES(mu_);

  mutable Mutex mu_;
  std::set<std::string, std::less<>> members_ WEFT_GUARDED_BY(mu_);
  Places places_ WEFT_GUARDED_BY(mu_);
  std::unordered_map<uint64_t, Places::iterator> by_id_ WEFT_GUARDED_BY(mu_);
  size_t of_members_ WEFT_GUARDED_BY(mu_) = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_HELLO_PLACES_H_
