#include "weft/rpc/server/dispatcher.h"

#include <algorithm>
#include <exception>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/absl_view.h"
#include "weft/core/callback_queue.h"
#include "weft/core/printable.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/write_waits.h"

namespace weft::internal {
namespace {

// An error lists so many names; more would not help its reader.
constexpr size_t kMaxNames = 20;
// So many characters are printed of a name that a peer asks for.
constexpr size_t kMaxName = 200;

std::string JoinNames(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  const size_t more = names.size() > kMaxNames ? names.size() - kMaxNames : 0;
  names.resize(names.size() - more);
  return absl::StrCat(names.empty() ? "none" : absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

}  // namespace

absl::Status Dispatcher::Add(Service& service, const ServiceOptions& options) {
  for (const Service* other : services_) {
    if (other->full_name() == service.full_name()) {
      return absl::AlreadyExistsError(
          absl::StrCat("service ", AbslView(service.full_name()), " is registered already"));
    }
  }
  services_.push_back(&service);
  for (const ServiceMethod& method : service.methods()) {
    Offered& offered = *offered_.emplace_back(std::make_unique<Offered>());
    offered.stats = std::make_unique<MethodStats>(std::string(method.info->full_name));
    offered.bound =
        BoundMethod{.method = &method,
                    .service = &service,
                    .stats = offered.stats.get(),
                    // A handler that waits for messages would block its loop, whatever the options
                    // say.
                    .run_inline = (run_inline_ || method.info->run_inline) && !method.waits};
    offered.pool = options.pool.empty() ? std::string(method.info->pool) : options.pool;
    if (method.info->ordered) RulesOf(offered).ordered = true;
    methods_.emplace(std::string(method.info->full_name), &offered);
  }
  return absl::OkStatus();
}

absl::Status Dispatcher::Configure(std::string_view full_name, MethodOptions options) {
  const auto it = methods_.find(AbslView(full_name));
  if (it == methods_.end()) {
    return absl::NotFoundError(absl::StrCat("configure ", AbslView(full_name), ": ",
                                            std::string(Unknown(full_name).message())));
  }
  Offered& offered = *it->second;
  if (!options.pool.empty()) offered.pool = std::move(options.pool);
  MethodRules& rules = RulesOf(offered);
  // An order that the .proto file promises cannot be taken back.
  rules.ordered = options.ordered || offered.bound.method->info->ordered;
  rules.key = std::move(options.key);
  rules.request_key = std::move(options.request_key);
  rules.max_calls = options.max_calls;
  return absl::OkStatus();
}

MethodRules& Dispatcher::RulesOf(Offered& offered) {
  if (offered.rules == nullptr) offered.rules = std::make_unique<MethodRules>();
  return *offered.rules;
}

void Dispatcher::AddHandlerPool(std::string name, WorkerPool& pool) {
  handler_pools_.push_back(std::make_unique<HandlerPool>(*this, std::move(name), pool));
  admission_.AddHandlerPool(pool.max_threads());
}

absl::StatusOr<uint16_t> Dispatcher::HandlerPoolOf(const std::string& pool, Runtime& runtime) {
  if (pool.empty() || AbslView(kDefaultPool) == pool) return 0;
  // 0 is kDefaultPool.
  for (size_t i = 1; i < handler_pools_.size(); ++i) {
    if (handler_pools_[i]->name() == pool) return static_cast<uint16_t>(i);
  }
  absl::StatusOr<WorkerPool*> workers = runtime.workers(pool);
  if (!workers.ok()) return workers.status();
  AddHandlerPool(pool, **workers);
  return static_cast<uint16_t>(handler_pools_.size() - 1);
}

absl::Status Dispatcher::Serve(Runtime& runtime) {
  absl::StatusOr<WorkerPool*> workers = runtime.workers();
  if (!workers.ok()) return workers.status();
  // All pools first: a call that fails has changed nothing.
  for (const auto& offered : offered_) {
    const std::string& pool = offered->pool;
    if (offered->bound.run_inline || pool.empty() || AbslView(kDefaultPool) == pool) continue;
    if (absl::Status s = runtime.workers(pool).status(); !s.ok()) {
      return Annotate(s, offered->stats->method());
    }
  }
  AddHandlerPool("", **workers);
  for (const auto& offered : offered_) {
    // Limits of the whole server need every call counted, and calls are counted by their method's
    // rules.
    if (admission_.watches_all()) RulesOf(*offered);
    if (MethodRules* rules = offered->rules.get()) {
      rules->counted = admission_.watches_all() || rules->max_calls > 0;
      if (rules->counted || rules->serial()) offered->bound.rules = rules;
      offered->bound.serial = rules->serial();
    }
    if (offered->bound.run_inline) continue;
    absl::StatusOr<uint16_t> handler_pool = HandlerPoolOf(offered->pool, runtime);
    if (!handler_pool.ok()) return Annotate(handler_pool.status(), offered->stats->method());
    offered->bound.handler_pool = *handler_pool;
    if (offered->bound.method->waits)
      offered->bound.write_waits = WaitsOf(*handler_pools_[*handler_pool]);
  }
  node_lines_ = std::make_unique<const NodeLines>(handler_pools_);
  return absl::OkStatus();
}

std::shared_ptr<const WriteWaits> Dispatcher::WaitsOf(HandlerPool& handler_pool) const {
  return std::make_shared<const WriteWaits>(
      handler_pool.pool(), max_write_wait_, side_.max_write_wait,
      handler_pool.name().empty() ? "worker_threads, max_worker_threads"
                                  : absl::StrCat("those of the pool ", handler_pool.name()));
}

const BoundMethod* Dispatcher::Find(std::string_view full_name) const {
  const auto it = methods_.find(AbslView(full_name));
  return it == methods_.end() ? nullptr : &it->second->bound;
}

bool Dispatcher::Has(std::string_view service) const {
  return std::ranges::any_of(services_,
                             [&](const Service* added) { return added->full_name() == service; });
}

absl::Status Dispatcher::Unknown(std::string_view full_name) const {
  // Errors for unknown names list what there is: mostly the client has an older or newer .proto.
  const std::string_view service_name = full_name.substr(0, full_name.find('/'));
  for (const Service* service : services_) {
    if (service->full_name() != service_name) continue;
    std::vector<std::string> names;
    for (const ServiceMethod& method : service->methods()) names.emplace_back(method.info->name);
    return absl::UnimplementedError(
        absl::StrCat("unknown method ", Printable::Text(full_name, kMaxName), "; service ",
                     AbslView(service_name), " has: ", JoinNames(std::move(names))));
  }
  std::vector<std::string> names;
  for (const Service* service : services_) names.emplace_back(service->full_name());
  return absl::UnimplementedError(absl::StrCat("unknown service in ",
                                               Printable::Text(full_name, kMaxName),
                                               "; services here: ", JoinNames(std::move(names))));
}

std::vector<MethodStatsSnapshot> Dispatcher::Stats() const {
  std::vector<MethodStatsSnapshot> all;
  for (const auto& offered : offered_) all.push_back(offered->stats->Snapshot());
  return all;
}

void Dispatcher::WhenQuiet(Gate::Callback quiet) {
  const auto running = std::make_shared<Gate>();
  // A handler that has answered may still be inside its service, which its owner is about to
  // destroy.
  for (const auto& handler_pool : handler_pools_) handler_pool->EnterRunning(running);
  running->WhenEmpty(std::move(quiet));
}

bool Dispatcher::InPool() const {
  return std::any_of(handler_pools_.begin(), handler_pools_.end(),
                     [](const auto& handler_pool) { return handler_pool->pool().InPool(); });
}

void Dispatcher::GiveBack(MonoTime now) {
  MonoTime next = next_give_back_.load(std::memory_order_relaxed);
  // Every loop asks, at nearly the same moment: the first one of a period looks, and the others go
  // on.
  if (now < next || !next_give_back_.compare_exchange_strong(
                        next, now + IdleTrimmer::kPeriod * 3 / 4, std::memory_order_relaxed)) {
    return;
  }
  for (const auto& handler_pool : handler_pools_) handler_pool->GiveBack();
}

void Dispatcher::Run(InboundCall& call, MessageCache& cache) {
  // The checks come in the order of their cost, and those that refuse an overloaded server's calls
  // come first: a call that is given up costs neither parsing nor interceptors.
  if (call.serving.admitted) {
    if (absl::Status s = admission_.OnStart(call); !s.ok()) {
      call.Refuse(s);
      return;
    }
  }
  if (absl::Status s = call.CheckStillWanted(); !s.ok()) {
    call.Refuse(s);
    return;
  }
  if (const absl::Status& s = call.ParseMetadata(); !s.ok()) {
    call.Refuse(absl::Status(s));
    return;
  }
  if (!interceptors_.empty()) {
    if (absl::Status s = ServerInterception::Start(interceptors_, call, side_.name); !s.ok()) {
      call.Refuse(s);
      return;
    }
  }
  const BoundMethod& bound = *call.bound;
  // On a loop, callbacks that the handler registers run after it, not inside it.
  const CallbackQueue::Scope handler(CallbackQueue::Here());
  // The one place that catches exceptions of handlers: the call ends, and the process goes on.
  try {
    bound.method->serve(*bound.service, call, cache);
  } catch (...) {
    call.Answer(HandlerThrew(*bound.method->info, std::current_exception()), nullptr);
  }
}

void Dispatcher::RefuseStopped(InboundCall& call) {
  call.Refuse(absl::UnavailableError("the server has stopped; the call was not executed"));
}

}  // namespace weft::internal
