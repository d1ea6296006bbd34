// Calls over several servers: a source of links that takes them in turn, each with a connection on
// a loop of its own, and a target on it. The smallest balancer there is.
//
// Threads  any
// Owns     its connections
// Ends     the target's destructor ends its calls, and returns when that is done
#ifndef WEFT_TESTS_SUPPORT_SPREAD_TARGET_H_
#define WEFT_TESTS_SUPPORT_SPREAD_TARGET_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/watched.h"
#include "weft/core/runtime.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/channel_options.h"
#include "weft/rpc/client/call_starter.h"
#include "weft/rpc/client/endpoint_connection.h"
#include "weft/rpc/client/link_source.h"
#include "weft/rpc/start_options.h"

namespace weft::test {

class SpreadSource final : public internal::LinkSource, public internal::LinkObserver {
 public:
  struct Reported {
    uint64_t link;
    absl::StatusCode code;
  };

  // One connection to each address. `channel`: how they are made.
  SpreadSource(Runtime& runtime, const std::vector<std::string>& addresses,
               const ChannelOptions& channel, bool wants_reports);

  // LinkSource
  internal::PickedLink Pick(const internal::PickRequest& request, absl::Status* why) override;
  bool wants_reports() const override { return wants_reports_; }
  void Report(uint64_t link, const internal::CallEnd& end, Nanos) override {
    reports.Update([&](auto& all) { all.push_back({link, end.status.code()}); });
  }
  void Watch(internal::LinkObserver* observer) override { observer_ = observer; }
  void Connect(bool at_once) override;
  void Close(std::function<void()> done) override;

  // LinkObserver, of its connections
  void OnLink() override { observer_->OnLink(); }
  void OnNoLink(const absl::Status& why, NoLink how) override;

  // The index of the connection that a link is of.
  size_t PlaceOf(uint64_t link) const { return link % connections_.size(); }
  const std::vector<std::shared_ptr<internal::EndpointConnection>>& connections() const {
    return connections_;
  }

  Watched<std::vector<Reported>> reports{{}};

 private:
  internal::PickedLink PickAt(size_t place, const internal::PickRequest& request,
                              absl::Status* why);

  const bool wants_reports_;
  std::vector<std::shared_ptr<internal::EndpointConnection>> connections_;
  internal::LinkObserver* observer_ = nullptr;
  std::atomic<size_t> next_{0};
};

class SpreadTarget final : public CallTarget {
 public:
  // Connections are on loops of `runtime` in turn; what starts calls is at home on the first.
  SpreadTarget(std::shared_ptr<Runtime> runtime, const std::vector<std::string>& addresses,
               const ChannelOptions& channel, const StartOptions& starts,
               bool wants_reports = false);
  ~SpreadTarget() override;

  void Start(internal::OutboundCall& call) override { starter_->Start(call); }
  SpreadSource& source() { return *source_; }
  const internal::CallStarter& starter() const { return *starter_; }

 private:
  const std::shared_ptr<Runtime> runtime_;
  const std::shared_ptr<SpreadSource> source_;
  std::shared_ptr<internal::CallStarter> starter_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_SPREAD_TARGET_H_
