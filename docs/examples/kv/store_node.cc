#include "store_node.h"

#include <utility>

namespace weft::examples::kv {

absl::StatusOr<std::unique_ptr<StoreNode>> StoreNode::Start(StoreNodeOptions options) {
  std::unique_ptr<StoreNode> self(new StoreNode(options.node.name, options.members));
  absl::Status status = self->Open(std::move(options));
  if (!status.ok()) return status;
  return self;
}

absl::Status StoreNode::Open(StoreNodeOptions options) {
  if (options.members < 3) {
    return absl::InvalidArgumentError(
        "a store has 3 or more members: of fewer none may lose its memory");
  }
  options.node.on_event = [this](const NodeEvent& event) { OnEvent(event); };
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(std::move(options.node));
  if (!node.ok()) return node.status();
  node_ = *std::move(node);
  Life self;
  self.set_node(node_->name());
  self.set_life(node_->incarnation());
  replica_ =
      std::make_unique<NodeReplica>(self, options.members, options.first || options.forgetful);
  if (options.no_quorum) behind_ = std::make_unique<SendBehind>(*node_);
  coordinator_ = std::make_unique<Coordinator>(*node_, *replica_, up_, behind_.get());
  // All parts exist before Start: events and calls may come as soon as the node listens.
  absl::Status status = node_->Register(*replica_);
  if (status.ok()) status = node_->Register(*coordinator_);
  if (status.ok()) status = node_->Start();
  if (!status.ok()) return status;
  const std::lock_guard lock(mu_);
  for (const Member& member : node_->view().view.members()) {
    if (member.name == node_->name()) continue;
    pullers_.push_back(std::make_unique<Puller>(*node_, *replica_, member.name, options.forgetful));
  }
  return absl::OkStatus();
}

StoreNode::~StoreNode() {
  // Stops first, so that the pullers' streams end.
  if (node_ != nullptr) node_->Stop();
  // Destroyed without the mutex: OnEvent may need it meanwhile.
  std::vector<std::unique_ptr<Puller>> pullers;
  {
    const std::lock_guard lock(mu_);
    pullers.swap(pullers_);
  }
  pullers.clear();
  // Its thread calls by the node.
  behind_ = nullptr;
  node_ = nullptr;  // before its services, which it refers to
}

void StoreNode::OnEvent(const NodeEvent& event) {
  up_.OnEvent(event);
  if (event.kind != NodeEvent::Kind::kPeer || event.state != PeerState::kUp) return;
  const std::lock_guard lock(mu_);
  for (const auto& puller : pullers_) {
    if (puller->other() == event.peer) puller->Wake();
  }
}

}  // namespace weft::examples::kv
