// The source of links that calls may go over: the connection to one address, or a choice among
// several.
//
// A new rule of choice (a balancer) is a new source, which picks among the links of others.
//
// Threads  any; Watch before the first Pick
// Owns     its links
// Errors   Pick says why a call must end for want of a link
// Ends     Close ends its connections and with them their calls; afterwards Pick finds nothing, and
//          the observer is told nothing
#ifndef WEFT_RPC_CLIENT_LINK_SOURCE_H_
#define WEFT_RPC_CLIENT_LINK_SOURCE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/pick_request.h"
#include "weft/rpc/client/link_observer.h"
#include "weft/rpc/client/link_slot.h"

namespace weft::internal {

// A link for one call.
struct PickedLink {
  // Null: there is none. Valid while `held` is; where that is null, until the caller of Pick
  // returns to the loop that it runs on.
  CallLink* link = nullptr;
  // The link's number in its source, see PickRequest.
  uint64_t number = 0;
  std::shared_ptr<CallLink> held = nullptr;
};

class WEFT_ANY_THREAD LinkSource {
 public:
  virtual ~LinkSource() = default;

  // Picks the link for a call. If there is none, `*why` is the end of the call; it is OK if the
  // call may wait: the observer will be told of a link once somebody has asked for a connection.
  virtual PickedLink Pick(const PickRequest& request, absl::Status* why) = 0;
  // If every call goes over the same link, whatever the call: the slot that has that link whenever
  // there is one. Constant. Null: Pick has to be asked.
  virtual LinkSlot* slot() { return nullptr; }
  // The reason why there will be no link any more; empty: there may be one.
  virtual std::string_view WhyOver() const { return {}; }
  // True if Report is to be called. Constant.
  virtual bool wants_reports() const { return false; }
  // An attempt of a unary call has ended, on link number `link`; after so long.
  virtual void Report(uint64_t link, const CallEnd& end, Nanos took) {
    (void)link, (void)end, (void)took;
  }
  // Sets the observer that is told of links. It outlives the source's Close.
  virtual void Watch(LinkObserver* observer) = 0;
  // Makes a connection where there is none. `at_once`: even where the source pauses after an
  // attempt that failed.
  virtual void Connect(bool at_once) = 0;
  // `done` runs once, on any thread, when all is over; handlers of calls from the other side are
  // waited for.
  virtual void Close(std::function<void()> done) = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_LINK_SOURCE_H_
