#include "weft/rpc/server/dispatcher.h"

#include <algorithm>
#include <exception>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/callback_queue.h"
#include "weft/core/printable.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/write_waits.h"

namespace weft {
namespace {

absl::string_view ToAbsl(std::string_view s) { return absl::string_view(s.data(), s.size()); }

// Names listed in an error; more of them would not help its reader.
constexpr size_t kMaxNames = 20;
// What is printed of a name that a peer asks for.
constexpr size_t kMaxName = 200;

std::string JoinNames(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  const size_t more = names.size() > kMaxNames ? names.size() - kMaxNames : 0;
  names.resize(names.size() - more);
  return absl::StrCat(names.empty() ? "none" : absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

// What the call is run one at a time with.
absl::StatusOr<SerialKey> KeyOfCall(InboundCall& call) {
  const MethodRules& rules = *call.bound->rules;
  const CallbackQueue::Scope hook(CallbackQueue::Here());
  SerialKey key;
  key.owner = call.origin.get();
  try {
    if (rules.request_key != nullptr) {
      const absl::StatusOr<std::string_view> request = call.MessageBytes();
      if (!request.ok()) return request.status();
      key.name = rules.request_key(call.context(), *request);
    } else if (rules.key != nullptr) {
      key.name = rules.key(call.context());
    } else {
      key.kind = &rules;
    }
  } catch (...) {
    return Annotate(HandlerThrew(*call.bound->method->info, std::current_exception()),
                    "the method's key");
  }
  return key;
}

}  // namespace

absl::Status Dispatcher::Add(Service& service, const ServiceOptions& options) {
  for (const Service* other : services_) {
    if (other->full_name() == service.full_name()) {
      return absl::AlreadyExistsError(
          absl::StrCat("service ", ToAbsl(service.full_name()), " is registered already"));
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
                    .run_inline = (run_inline_ || method.info->run_inline) && !method.waits};
    offered.pool = options.pool.empty() ? std::string(method.info->pool) : options.pool;
    if (method.info->ordered) RulesOf(offered).ordered = true;
    methods_.emplace(std::string(method.info->full_name), &offered);
  }
  return absl::OkStatus();
}

absl::Status Dispatcher::Configure(std::string_view full_name, MethodOptions options) {
  const auto it = methods_.find(ToAbsl(full_name));
  if (it == methods_.end()) {
    return absl::NotFoundError(absl::StrCat("configure ", ToAbsl(full_name), ": ",
                                            std::string(Unknown(full_name).message())));
  }
  Offered& offered = *it->second;
  if (!options.pool.empty()) offered.pool = std::move(options.pool);
  MethodRules& rules = RulesOf(offered);
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
  if (pool.empty() || ToAbsl(kDefaultPool) == pool) return 0;
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
    if (offered->bound.run_inline || pool.empty() || ToAbsl(kDefaultPool) == pool) continue;
    if (absl::Status s = runtime.workers(pool).status(); !s.ok()) {
      return Annotate(s, offered->stats->method());
    }
  }
  AddHandlerPool("", **workers);
  for (const auto& offered : offered_) {
    if (admission_.watches_all()) RulesOf(*offered);
    if (MethodRules* rules = offered->rules.get()) {
      rules->counted = admission_.watches_all() || rules->max_calls > 0;
      if (rules->counted || rules->serial()) offered->bound.rules = rules;
    }
    if (offered->bound.run_inline) continue;
    absl::StatusOr<uint16_t> handler_pool = HandlerPoolOf(offered->pool, runtime);
    if (!handler_pool.ok()) return Annotate(handler_pool.status(), offered->stats->method());
    offered->bound.handler_pool = *handler_pool;
    if (offered->bound.method->waits)
      offered->bound.write_waits = WaitsOf(*handler_pools_[*handler_pool]);
  }
  return absl::OkStatus();
}

std::shared_ptr<const WriteWaits> Dispatcher::WaitsOf(HandlerPool& handler_pool) const {
  return std::make_shared<const WriteWaits>(
      handler_pool.pool(), max_write_wait_, side_.max_write_wait,
      handler_pool.name().empty() ? "worker_threads, max_worker_threads"
                                  : absl::StrCat("those of the pool ", handler_pool.name()));
}

const BoundMethod* Dispatcher::Find(std::string_view full_name) const {
  const auto it = methods_.find(ToAbsl(full_name));
  return it == methods_.end() ? nullptr : &it->second->bound;
}

absl::Status Dispatcher::Unknown(std::string_view full_name) const {
  const std::string_view service_name = full_name.substr(0, full_name.find('/'));
  for (const Service* service : services_) {
    if (service->full_name() != service_name) continue;
    std::vector<std::string> names;
    for (const ServiceMethod& method : service->methods()) names.emplace_back(method.info->name);
    return absl::UnimplementedError(
        absl::StrCat("unknown method ", Printable::Text(full_name, kMaxName), "; service ",
                     ToAbsl(service_name), " has: ", JoinNames(std::move(names))));
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

bool Dispatcher::Quiet() const {
  return std::all_of(handler_pools_.begin(), handler_pools_.end(),
                     [](const auto& handler_pool) { return handler_pool->Quiet(); });
}

bool Dispatcher::InPool() const {
  return std::any_of(handler_pools_.begin(), handler_pools_.end(),
                     [](const auto& handler_pool) { return handler_pool->pool().InPool(); });
}

void Dispatcher::GiveBack(MonoTime now) {
  MonoTime next = next_give_back_.load(std::memory_order_relaxed);
  if (now < next || !next_give_back_.compare_exchange_strong(
                        next, now + IdleTrimmer::kPeriod * 3 / 4, std::memory_order_relaxed)) {
    return;
  }
  for (const auto& handler_pool : handler_pools_) handler_pool->GiveBack();
}

void Dispatcher::Run(InboundCall& call, MessageCache& cache) {
  if (call.admitted) {
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
  // On a loop: callbacks that its handler registers come behind it.
  const CallbackQueue::Scope handler(CallbackQueue::Here());
  try {
    bound.method->serve(*bound.service, call, cache);
  } catch (...) {
    call.Answer(HandlerThrew(*bound.method->info, std::current_exception()), nullptr);
  }
}

void Dispatcher::RefuseStopped(InboundCall& call) {
  call.Refuse(absl::UnavailableError("the server has stopped; the call was not executed"));
}

// ---- On a loop

LoopDispatcher::LoopDispatcher(EventLoop& loop, Dispatcher& dispatcher)
    : loop_(loop), dispatcher_(dispatcher), batches_(dispatcher.handler_pools().size()) {
  for (const auto& handler_pool : dispatcher.handler_pools()) {
    serial_.push_back(
        std::make_shared<SerialExecutor>(handler_pool->pool(), handler_pool->pool().queue_limit()));
  }
  inline_serial_ = std::make_shared<SerialExecutor>(inline_queue_, dispatcher.pool().queue_limit());
}

void LoopDispatcher::OnCall(InboundCall& call) {
  const BoundMethod& bound = *call.bound;
  if (bound.rules != nullptr) {
    if (bound.rules->counted && !Admit(call)) return;
    if (bound.rules->serial()) {
      OnSerialCall(call);
      return;
    }
  }
  if (bound.run_inline) {
    dispatcher_.Run(call, cache_);
    return;
  }
  AddToBatch(call, bound.handler_pool);
}

void LoopDispatcher::AddToBatch(InboundCall& call, uint16_t handler_pool) {
  call.runner = dispatcher_.handler_pools()[handler_pool].get();
  if (call.origin.get() != last_origin_ || handler_pool != last_pool_) {
    last_share_ = ShareOf(call).get();
    last_origin_ = call.origin.get();
    last_pool_ = handler_pool;
  }
  call.SetShare(last_share_);
  if (!handing_over_) {
    handing_over_ = true;
    loop_.RunAtEndOfTurn(&hand_over_);
  }
  batches_[handler_pool].push_back(&call);
  if (const size_t kept = call.kept_input(); kept > 0) {
    keepers_.push_back(&call);
    kept_ += kept;
  }
}

// A call may wait for long, and the block that its request stands in is 64 KiB: a peer that sends
// little of a request between much of nothing would have that much held with each of them, and not
// counted. No worker has seen these calls yet.
void LoopDispatcher::OnLookedThrough(size_t size) {
  if (keepers_.empty()) return;
  if (kept_ < size / kSparse) {
    for (InboundCall* call : keepers_) call->LetGoOfInput();
  }
  keepers_.clear();
  kept_ = 0;
}

void LoopDispatcher::HandOverBatches() {
  loop_.AssertInLoop();
  handing_over_ = false;
  last_origin_ = nullptr;
  keepers_.clear();
  kept_ = 0;
  for (size_t i = 0; i < batches_.size(); ++i) {
    std::vector<WorkItem*>& batch = batches_[i];
    if (batch.empty()) continue;
    HandlerPool& handler_pool = *dispatcher_.handler_pools()[i];
    const size_t accepted = handler_pool.pool().TrySubmit(batch.data(), batch.size());
    for (size_t k = accepted; k < batch.size(); ++k) {
      static_cast<InboundCall*>(batch[k])->Refuse(absl::ResourceExhaustedError(absl::StrCat(
          "the ", dispatcher_.side().name, "'s queue is full: ", handler_pool.pool().queued(),
          " calls wait for ", handler_pool.pool().threads(), " workers, the limit is ",
          handler_pool.pool().queue_limit(), " (", handler_pool.QueueSetting(), ")")));
    }
    batch.clear();
    if (batch.capacity() > kMaxKept) std::vector<WorkItem*>().swap(batch);
  }
}

const std::shared_ptr<WorkShare>& LoopDispatcher::ShareOf(const InboundCall& call) {
  std::vector<std::shared_ptr<WorkShare>>& shares = call.origin->shares;
  const size_t place = call.bound->run_inline ? batches_.size() : call.bound->handler_pool;
  if (shares.size() <= place) shares.resize(place + 1);
  if (shares[place] == nullptr) {
    const HandlerPoolLoad* const watched = dispatcher_.admission().load(place);
    if (watched != nullptr) {
      shares[place] = watched->NewCaller();
    } else {
      shares[place] = std::make_shared<WorkShare>();
    }
  }
  return shares[place];
}

void LoopDispatcher::OnCancelled(InboundCall& call) {
  if (call.share() == nullptr ||
      !dispatcher_.handler_pools()[call.bound->handler_pool]->pool().Withdraw(call)) {
    return;
  }
  const absl::Status why = call.CheckStillWanted();
  call.Refuse(why.ok() ? absl::CancelledError("cancelled before it was executed") : why);
}

void LoopDispatcher::OnAllCancelled(CallOrigin& origin) {
  for (size_t i = 0; i < origin.shares.size(); ++i) {
    if (origin.shares[i] == nullptr) continue;
    const bool of_pool = i < batches_.size();
    // First those that have an order: their queues may stand in the share's line.
    for (WorkItem* item : (of_pool ? serial_[i] : inline_serial_)->TakeOutAll(&origin)) {
      auto& call = static_cast<InboundCall&>(*item);
      call.queue = nullptr;
      Dispatcher::RefuseStopped(call);
    }
    if (of_pool) dispatcher_.handler_pools()[i]->pool().CancelAll(*origin.shares[i]);
  }
}

bool LoopDispatcher::Admit(InboundCall& call) {
  if (!call.bound->run_inline && !call.bound->rules->serial() &&
      dispatcher_.admission().load(call.bound->handler_pool) != nullptr) {
    call.SetShare(ShareOf(call).get());
  }
  if (absl::Status s = dispatcher_.admission().Admit(call, loop_.now()); !s.ok()) {
    call.Refuse(s);
    return false;
  }
  call.listener = this;
  return true;
}

// ---- Calls that have an order

bool LoopDispatcher::InlineQueue::TrySubmit(WorkItem& item) {
  item.Run(0);
  return true;
}

void LoopDispatcher::InlineQueue::Resume(WorkItem& item) {
  of_.loop_.Post([&item](TaskFate fate) {
    if (fate == TaskFate::kRun) {
      item.Run(0);
    } else {
      item.Cancel();
    }
  });
}

void LoopDispatcher::InlineQueue::RunCall(InboundCall& call, int) {
  of_.loop_.AssertInLoop();
  of_.dispatcher_.Run(call, of_.cache_);
}

bool LoopDispatcher::TryQueue(InboundCall& call, SerialKey key, bool ready) {
  const BoundMethod& bound = *call.bound;
  call.runner = bound.run_inline ? static_cast<CallRunner*>(&inline_queue_)
                                 : dispatcher_.handler_pools()[bound.handler_pool].get();
  call.listener = this;
  // It may be over when this returns.
  if (SerialOf(bound).TrySubmit(std::move(key), call, &call.queue, ready, ShareOf(call))) {
    return true;
  }
  call.queue = nullptr;
  if (!call.admitted) call.listener = nullptr;
  return false;
}

// A place in line, taken when the first piece of a large request comes.
void LoopDispatcher::OnCallBegins(InboundCall& call) {
  const MethodRules* rules = call.bound->rules;
  if (rules == nullptr || !rules->serial() || !rules->key_comes_first()) return;
  if (!call.ParseMetadata().ok()) return;
  absl::StatusOr<SerialKey> key = KeyOfCall(call);
  if (key.ok()) (void)TryQueue(call, *std::move(key), /*ready=*/false);  // OnCall tries again
}

void LoopDispatcher::OnSerialCall(InboundCall& call) {
  SerialExecutor& serial = SerialOf(*call.bound);
  if (call.queue != nullptr) {
    serial.SetReady(*call.queue, call);
    return;
  }
  if (const absl::Status& s = call.ParseMetadata(); !s.ok()) {
    call.Refuse(absl::Status(s));
    return;
  }
  // Nothing is known of how it came, and behind others of its key it may wait for long.
  if (const size_t kept = call.kept_input(); kept > 0 && kept <= kSmallInOrder) call.LetGoOfInput();
  absl::StatusOr<SerialKey> key = KeyOfCall(call);
  if (!key.ok()) {
    call.Refuse(key.status());
    return;
  }
  if (TryQueue(call, *std::move(key), /*ready=*/true)) return;
  const std::string setting = dispatcher_.handler_pools()[call.bound->handler_pool]->QueueSetting();
  call.Refuse(absl::ResourceExhaustedError(absl::StrCat(
      "the ", dispatcher_.side().name, "'s queue is full: ", serial.waiting(),
      " calls wait for their turn, the limit is ", serial.limit(), " (", setting, ")")));
}

void LoopDispatcher::OnAnswered(InboundCall& call) {
  if (call.admitted) dispatcher_.admission().Leave(call);
  if (call.queue != nullptr) SerialOf(*call.bound).Done(*call.queue, call);
}

}  // namespace weft
