// The links to one peer, as the LinkSource of its calls: one for each slot of the pair, whichever
// side dialled. Pair owns it and fills it; CallStarter asks it.
//
// With one slot every call takes its link. With several slots a call takes the least busy link, and
// calls with the same PickRequest::hash always the same slot.
//
// A replaced or cleared link is a former link until its session ends. While a former link has calls
// of a method under way, ordered calls of that method wait. No counter is kept for this: the former
// links are asked, and while one exists every call comes through Pick.
//
// Threads  any
// Owns     a share of its links
// Errors   Pick: the reason of SetOver; the reason of SetDown, for calls that do not wait
// Ends     Close: calls end with UNAVAILABLE from then on. The sessions keep the links
#ifndef WEFT_RPC_MESH_PEER_LINKS_H_
#define WEFT_RPC_MESH_PEER_LINKS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/client/link_slot.h"
#include "weft/rpc/client/link_source.h"

namespace weft::internal {

class WEFT_ANY_THREAD PeerLinks final : public LinkSource {
 public:
  // `slots`: at least 1. `on_connect`: runs when a call wants a connection without waiting for a
  // pause.
  PeerLinks(size_t slots, std::function<void()> on_connect);

  // Sets the link of a slot. `number`: that of its connection, never used again. Waiting calls are
  // not placed before TellOfLink.
  void Set(size_t slot, std::shared_ptr<CallLink> link, uint64_t number) WEFT_EXCLUDES(mu_);
  // Removes the slot's link; its session goes on.
  void Clear(size_t slot) WEFT_EXCLUDES(mu_);
  // The connection's session has ended, and its calls with it.
  void Forget(uint64_t number) WEFT_EXCLUDES(mu_);
  // Calls have ended on a former link, or it was forgotten: places the ordered calls that wait for
  // it.
  void TellOfEnds() WEFT_EXCLUDES(mu_);
  // Number of slots, from the first, that are kept with this peer.
  void SetWished(size_t slots) WEFT_EXCLUDES(mu_);
  // Places waiting calls.
  void TellOfLink() { observer_->OnLink(); }
  // While there is no link, calls that do not wait fail with `why`. OK: they wait. TellDown fails
  // those that are waiting already.
  void SetDown(const absl::Status& why) WEFT_EXCLUDES(mu_);
  void TellDown() WEFT_EXCLUDES(mu_);
  // There will be no link: every call fails with `why`. OK: there may be one again.
  void SetOver(const absl::Status& why) WEFT_EXCLUDES(mu_);

  // LinkSource
  PickedLink Pick(const PickRequest& request, absl::Status* why) override WEFT_EXCLUDES(mu_);
  LinkSlot* slot() override { return only_.get(); }
  void Watch(LinkObserver* observer) override { observer_ = observer; }
  void Connect(bool at_once) override;
  void Close(std::function<void()> done) override WEFT_EXCLUDES(mu_);

 private:
  // Puts `link` into the slot; the old link becomes a former one. Null: none.
  void Replace(size_t slot, std::shared_ptr<const NumberedLink> link) WEFT_REQUIRES(mu_);
  // Shows the only link to callers that bypass Pick, while there is one slot and no former link.
  void Show() WEFT_REQUIRES(mu_);
  bool IsUnderWay(std::string_view method) const WEFT_REQUIRES(mu_);
  const NumberedLink* Best(const PickRequest& request) const WEFT_REQUIRES(mu_);
  const std::function<void()> on_connect_;
  const std::unique_ptr<LinkSlot> only_;  // null: there are several slots
  LinkObserver* observer_ = nullptr;      // by Watch

  mutable Mutex mu_;
  std::vector<std::shared_ptr<const NumberedLink>> links_ WEFT_GUARDED_BY(mu_);  // by slot
  std::vector<std::shared_ptr<const NumberedLink>> former_ WEFT_GUARDED_BY(mu_);
  bool ends_awaited_ WEFT_GUARDED_BY(mu_) = false;  // an ordered call waits for a former link
  size_t wished_ WEFT_GUARDED_BY(mu_);              // at least 1
  absl::Status down_ WEFT_GUARDED_BY(mu_);
  absl::Status over_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_PEER_LINKS_H_
