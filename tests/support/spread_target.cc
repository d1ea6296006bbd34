#include "tests/support/spread_target.h"

#include <algorithm>
#include <cstdlib>
#include <future>
#include <utility>

#include "weft/rpc/default_protocols.h"

namespace weft::test {

using namespace internal;

SpreadSource::SpreadSource(Runtime& runtime, const std::vector<std::string>& addresses,
                           const ChannelOptions& channel, bool wants_reports)
    : wants_reports_(wants_reports) {
  ChannelOptions options = channel;
  if (!options.protocol.has_value()) options.protocol = DefaultProtocols().front();
  for (const std::string& address : addresses) {
    absl::StatusOr<HostPort> parsed = HostPort::Parse(address);
    if (!parsed.ok()) std::abort();
    connections_.push_back(std::make_shared<EndpointConnection>(
        runtime.loops().At(connections_.size()), runtime.log(),
        EndpointOptions::Of(options, *std::move(parsed), address)));
    connections_.back()->Watch(this);
  }
}

PickedLink SpreadSource::PickAt(size_t place, const PickRequest& request, absl::Status* why) {
  std::vector<uint64_t> gone;
  for (const uint64_t link : request.gone) {
    if (PlaceOf(link) == place) gone.push_back(link / connections_.size());
  }
  PickRequest own = request;
  own.gone = gone;
  PickedLink picked = connections_[place]->Pick(own, why);
  picked.number = picked.number * connections_.size() + place;
  return picked;
}

// Calls begin at one connection after the other. A further attempt begins where the last call
// began, and goes first to connections that none of its call's attempts has used.
PickedLink SpreadSource::Pick(const PickRequest& request, absl::Status* why) {
  const size_t first = request.attempt == 1 ? next_.fetch_add(1, std::memory_order_relaxed)
                                            : next_.load(std::memory_order_relaxed) - 1;
  const auto tried = [&](size_t place) {
    return std::any_of(request.tried.begin(), request.tried.end(),
                       [&](uint64_t link) { return PlaceOf(link) == place; });
  };
  bool may_come = false;
  absl::Status failed;
  for (const bool again : {false, true}) {
    for (size_t i = 0; i < connections_.size(); ++i) {
      const size_t place = (first + i) % connections_.size();
      if (tried(place) != again) continue;
      absl::Status none;
      PickedLink picked = PickAt(place, request, &none);
      if (picked.link != nullptr) return picked;
      may_come |= none.ok();
      failed.Update(none);
    }
  }
  if (!may_come) *why = failed;
  return {};
}

void SpreadSource::Connect(bool at_once) {
  for (const auto& connection : connections_) connection->Connect(at_once);
}

// Tells the bad news only when no connection is up and none may come.
void SpreadSource::OnNoLink(const absl::Status& why, NoLink how) {
  absl::Status none;
  if (Pick({}, &none).link == nullptr && !none.ok()) observer_->OnNoLink(why, how);
}

void SpreadSource::Close(std::function<void()> done) {
  auto left = std::make_shared<std::atomic<size_t>>(connections_.size());
  for (const auto& connection : connections_) {
    connection->Close([left, done] {
      if (left->fetch_sub(1) == 1) done();
    });
  }
}

SpreadTarget::SpreadTarget(std::shared_ptr<Runtime> runtime,
                           const std::vector<std::string>& addresses, const ChannelOptions& channel,
                           const StartOptions& starts, bool wants_reports)
    : runtime_(std::move(runtime)),
      source_(std::make_shared<SpreadSource>(*runtime_, addresses, channel, wants_reports)),
      starter_(std::make_shared<CallStarter>(
          source_, runtime_->loops().At(0),
          std::make_shared<const StartConfig>(starts, channel.limits, "channel"), "spread")) {
  starter_->SetKeeper(starter_);
}

SpreadTarget::~SpreadTarget() {
  std::promise<void> closed;
  starter_->Close([&closed] { closed.set_value(); });
  closed.get_future().get();
}

}  // namespace weft::test
