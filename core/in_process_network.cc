#include "weft/core/in_process_network.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/in_process_transport.h"

namespace weft {

using namespace internal;

namespace {

std::string AddressOf(std::string_view name) { return absl::StrCat("inproc:", AbslView(name)); }

}  // namespace

class InProcessNetwork::Listener final : public InProcessListener {
 public:
  Listener(std::weak_ptr<Shared> shared, std::string name, std::shared_ptr<Ear> ear)
      : shared_(std::move(shared)), name_(std::move(name)), ear_(std::move(ear)) {}
  ~Listener() override {
    // First out of the list, so that no later dial finds it; then a callback under way is waited
    // for. From there on none comes.
    if (const std::shared_ptr<Shared> shared = shared_.lock()) {
      MutexLock lock(shared->mu);
      shared->ears.erase(name_);
    }
    MutexLock lock(ear_->mu);  // waits for a callback under way
    ear_->on_connection = nullptr;
  }

 private:
  const std::weak_ptr<Shared> shared_;
  const std::string name_;
  const std::shared_ptr<Ear> ear_;
};

InProcessNetwork::~InProcessNetwork() = default;

std::shared_ptr<InProcessNetwork> InProcessNetwork::Create(InProcessNetworkOptions options) {
  auto shared = std::make_shared<Shared>();
  shared->options = std::move(options);
  return std::shared_ptr<InProcessNetwork>(new InProcessNetwork(std::move(shared), ""));
}

std::shared_ptr<InProcessNetwork> InProcessNetwork::For(std::string host) {
  return std::shared_ptr<InProcessNetwork>(new InProcessNetwork(shared_, std::move(host)));
}

absl::StatusOr<std::unique_ptr<InProcessListener>> InProcessNetwork::Listen(
    std::string_view name, const Clock& clock, OnConnection on_connection) {
  // Shared with the dials: one that has found it may call it while the listener goes.
  auto ear = std::make_shared<Ear>();
  ear->clock = &clock;
  ear->host = host_;
  {
    MutexLock lock(ear->mu);
    ear->on_connection = std::move(on_connection);
  }
  MutexLock lock(shared_->mu);
  if (!shared_->ears.emplace(std::string(name), ear).second) {
    return absl::AlreadyExistsError(
        absl::StrCat("listen on ", AddressOf(name), ": somebody listens there already"));
  }
  return std::make_unique<Listener>(shared_, std::string(name), std::move(ear));
}

absl::StatusOr<std::unique_ptr<Transport>> InProcessNetwork::Dial(std::string_view name,
                                                                  const Clock& clock) {
  const InProcessNetworkOptions& options = shared_->options;
  std::shared_ptr<Ear> ear;
  InProcessRoute route;
  route.from = host_;
  route.name = std::string(name);
  {
    MutexLock lock(shared_->mu);
    // Counted before anything can refuse it, so that faults go by the order of the dials.
    route.connection = shared_->dialled++;
    if (const auto it = shared_->ears.find(route.name); it != shared_->ears.end()) {
      ear = it->second;
      route.to = ear->host;
    }
  }
  ConnectionFaults faults;
  if (options.faults) {
    // A mutex of its own: the function is the test's, and may ask this network.
    MutexLock lock(shared_->faults_mu);
    faults = options.faults(route.connection);
  }
  // The tap comes last, so that it sees and may change the faults.
  if (options.tap != nullptr &&
      options.tap->OnDial(route, &faults) == InProcessTap::Dialled::kSilence) {
    return nullptr;
  }
  if (faults.refused) {
    return absl::UnavailableError(
        absl::StrCat("connect: refused by a fault (to ", AddressOf(name), ")"));
  }
  const absl::Status nobody = absl::UnavailableError(
      absl::StrCat("connect: nobody listens there (to ", AddressOf(name), ")"));
  if (ear == nullptr) return nobody;
  const uint64_t number = route.connection;
  auto link = std::make_shared<InProcessPipe>(number, options.buffer_bytes, faults, clock,
                                              *ear->clock, options.tap, std::move(route));
  auto here = std::make_unique<InProcessTransport>(link, InProcessPipe::Side::kDialer);
  auto there = std::make_unique<InProcessTransport>(link, InProcessPipe::Side::kListener);
  {
    MutexLock lock(shared_->mu);
    // Connections that have ended go with each dial, so the list does not grow.
    for (auto it = shared_->links.begin(); it != shared_->links.end();) {
      it = it->second.expired() ? shared_->links.erase(it) : std::next(it);
    }
    shared_->links.emplace(number, link);
  }
  MutexLock lock(ear->mu);
  // Called under the mutex: the listener's destructor waits for it.
  if (ear->on_connection == nullptr) return nobody;
  ear->on_connection(std::move(there),
                     absl::StrCat(AddressOf(host_.empty() ? name : host_), "#", number));
  return here;
}

std::shared_ptr<InProcessPipe> InProcessNetwork::Find(uint64_t connection) const {
  MutexLock lock(shared_->mu);
  const auto it = shared_->links.find(connection);
  std::shared_ptr<InProcessPipe> link = it == shared_->links.end() ? nullptr : it->second.lock();
  return link != nullptr && link->open() ? link : nullptr;
}

std::vector<uint64_t> InProcessNetwork::connections() const {
  std::vector<uint64_t> open;
  for (const InProcessRoute& route : routes()) open.push_back(route.connection);
  return open;
}

std::vector<InProcessRoute> InProcessNetwork::routes() const {
  MutexLock lock(shared_->mu);
  std::vector<InProcessRoute> open;
  for (const auto& [number, weak] : shared_->links) {
    const std::shared_ptr<InProcessPipe> link = weak.lock();
    if (link == nullptr || !link->open()) continue;
    open.push_back(link->route());
    open.back().connection = number;
  }
  return open;
}

uint64_t InProcessNetwork::dialled() const {
  MutexLock lock(shared_->mu);
  return shared_->dialled;
}

bool InProcessNetwork::Cut(uint64_t connection, InProcessPipe::Held held) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Cut(held);
  return link != nullptr;
}

bool InProcessNetwork::CutOneEnd(uint64_t connection, InProcessPipe::Side hears) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->CutOneEnd(hears);
  return link != nullptr;
}

bool InProcessNetwork::Silence(uint64_t connection) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Silence();
  return link != nullptr;
}

bool InProcessNetwork::Change(uint64_t connection, const ConnectionFaults& faults) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Change(faults);
  return link != nullptr;
}

bool InProcessNetwork::Hold(uint64_t connection) {
  return HoldOneWay(connection, InProcessPipe::Side::kDialer, true) &&
         HoldOneWay(connection, InProcessPipe::Side::kListener, true);
}

bool InProcessNetwork::Release(uint64_t connection) {
  return HoldOneWay(connection, InProcessPipe::Side::kDialer, false) &&
         HoldOneWay(connection, InProcessPipe::Side::kListener, false);
}

bool InProcessNetwork::HoldOneWay(uint64_t connection, InProcessPipe::Side writer, bool held) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Hold(writer, held);
  return link != nullptr;
}

}  // namespace weft
