#include "weft/rpc/server/dispatcher.h"

#include <algorithm>
#include <exception>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace weft {
namespace {

absl::string_view ToAbsl(std::string_view s) { return absl::string_view(s.data(), s.size()); }

// Names listed in an error; more of them would not help its reader.
constexpr size_t kMostNames = 20;

std::string JoinNames(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  const size_t more = names.size() > kMostNames ? names.size() - kMostNames : 0;
  names.resize(names.size() - more);
  return absl::StrCat(names.empty() ? "none" : absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

}  // namespace

absl::Status Dispatcher::Add(Service& service) {
  for (const Service* other : services_) {
    if (other->full_name() == service.full_name()) {
      return absl::AlreadyExistsError(
          absl::StrCat("service ", ToAbsl(service.full_name()), " is registered already"));
    }
  }
  services_.push_back(&service);
  for (const ServiceMethod& method : service.methods()) {
    stats_.push_back(std::make_unique<MethodStats>(std::string(method.info->full_name)));
    methods_.emplace(std::string(method.info->full_name),
                     BoundMethod{&method, &service, stats_.back().get(),
                                 run_inline_ || method.info->run_inline});
  }
  return absl::OkStatus();
}

void Dispatcher::Serve(WorkerPool* pool) {
  pool_ = pool;
  while (workers_.size() < static_cast<size_t>(pool->max_threads())) {
    workers_.push_back(std::make_unique<Worker>());
  }
}

const BoundMethod* Dispatcher::Find(std::string_view full_name) const {
  const auto it = methods_.find(ToAbsl(full_name));
  return it == methods_.end() ? nullptr : &it->second;
}

absl::Status Dispatcher::Unknown(std::string_view full_name) const {
  const std::string_view service_name = full_name.substr(0, full_name.find('/'));
  for (const Service* service : services_) {
    if (service->full_name() != service_name) continue;
    std::vector<std::string> names;
    for (const ServiceMethod& method : service->methods()) names.emplace_back(method.info->name);
    return absl::UnimplementedError(
        absl::StrCat("unknown method ", ToAbsl(full_name.substr(0, 200)), "; service ",
                     ToAbsl(service_name), " has: ", JoinNames(std::move(names))));
  }
  std::vector<std::string> names;
  for (const Service* service : services_) names.emplace_back(service->full_name());
  return absl::UnimplementedError(absl::StrCat("unknown service in ",
                                               ToAbsl(full_name.substr(0, 200)),
                                               "; services here: ", JoinNames(std::move(names))));
}

std::vector<MethodStatsSnapshot> Dispatcher::Stats() const {
  std::vector<MethodStatsSnapshot> all;
  for (const auto& stats : stats_) all.push_back(stats->Snapshot());
  return all;
}

void Dispatcher::RunCall(InboundCall& call, int worker) {
  call.hint = this;
  Worker& own = *workers_[static_cast<size_t>(worker)];
  own.running.store(true, std::memory_order_relaxed);
  Run(call, own.cache);
  own.running.store(false, std::memory_order_release);  // from here on this may be gone
}

// Whoever has seen a call's answer sees that its worker runs, or has ended.
bool Dispatcher::Quiet() const {
  return std::none_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker->running.load(std::memory_order_acquire);
  });
}

void Dispatcher::RunInline(InboundCall& call, MessageCache& cache) { Run(call, cache); }

void Dispatcher::Run(InboundCall& call, MessageCache& cache) {
  if (absl::Status s = call.CheckStillWanted(); !s.ok()) {
    call.Refuse(s);
    return;
  }
  if (const absl::Status& s = call.ParseMetadata(); !s.ok()) {
    call.Refuse(absl::Status(s));
    return;
  }
  if (!interceptors_.empty()) {
    if (absl::Status s = ServerInterception::Start(interceptors_, call); !s.ok()) {
      call.Refuse(s);
      return;
    }
  }
  const BoundMethod& bound = *call.bound;
  try {
    bound.method->serve(*bound.service, call, cache);
  } catch (...) {
    call.Answer(HandlerThrew(*bound.method->info, std::current_exception()), nullptr);
  }
}

void Dispatcher::RefuseCall(InboundCall& call) {
  call.Refuse(absl::UnavailableError("the server has stopped; the call was not executed"));
}

void LoopDispatcher::OnCall(InboundCall& call) {
  call.runner = &dispatcher_;
  if (call.bound->run_inline) {
    dispatcher_.RunInline(call, cache_);
    return;
  }
  if (batch_.empty()) loop_.AtTurnEnd(&hand_over_);
  batch_.push_back(&call);
}

void LoopDispatcher::HandOverBatch() {
  loop_.AssertInLoop();
  const size_t accepted = dispatcher_.pool().TrySubmit(batch_.data(), batch_.size());
  for (size_t i = accepted; i < batch_.size(); ++i) {
    static_cast<InboundCall*>(batch_[i])->Refuse(absl::ResourceExhaustedError(
        absl::StrCat("the server's queue is full: ", dispatcher_.pool().queued(),
                     " calls wait for ", dispatcher_.pool().threads(), " workers, the limit is ",
                     dispatcher_.pool().queue_limit(), " (worker_queue)")));
  }
  batch_.clear();
}

}  // namespace weft
