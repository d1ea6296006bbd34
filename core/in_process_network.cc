#include "weft/core/in_process_network.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/in_process_transport.h"

namespace weft {
namespace {

std::string AddressOf(std::string_view name) {
  return absl::StrCat("inproc:", absl::string_view(name.data(), name.size()));
}

}  // namespace

class InProcessNetwork::Listener final : public InProcessListener {
 public:
  Listener(std::weak_ptr<InProcessNetwork> network, std::string name, std::shared_ptr<Ear> ear)
      : network_(std::move(network)), name_(std::move(name)), ear_(std::move(ear)) {}
  ~Listener() override {
    if (const std::shared_ptr<InProcessNetwork> network = network_.lock()) {
      MutexLock lock(network->mu_);
      network->ears_.erase(name_);
    }
    MutexLock lock(ear_->mu);  // waits for a callback under way
    ear_->on_connection = nullptr;
  }

 private:
  const std::weak_ptr<InProcessNetwork> network_;
  const std::string name_;
  const std::shared_ptr<Ear> ear_;
};

InProcessNetwork::InProcessNetwork(InProcessNetworkOptions options)
    : options_(std::move(options)) {}

InProcessNetwork::~InProcessNetwork() = default;

std::shared_ptr<InProcessNetwork> InProcessNetwork::Create(InProcessNetworkOptions options) {
  return std::shared_ptr<InProcessNetwork>(new InProcessNetwork(std::move(options)));
}

absl::StatusOr<std::unique_ptr<InProcessListener>> InProcessNetwork::Listen(
    std::string_view name, const Clock& clock, OnConnection on_connection) {
  auto ear = std::make_shared<Ear>();
  ear->clock = &clock;
  {
    MutexLock lock(ear->mu);
    ear->on_connection = std::move(on_connection);
  }
  MutexLock lock(mu_);
  if (!ears_.emplace(std::string(name), ear).second) {
    return absl::AlreadyExistsError(
        absl::StrCat("listen on ", AddressOf(name), ": somebody listens there already"));
  }
  return std::make_unique<Listener>(weak_from_this(), std::string(name), std::move(ear));
}

absl::StatusOr<std::unique_ptr<Transport>> InProcessNetwork::Dial(std::string_view name,
                                                                  const Clock& clock) {
  std::shared_ptr<Ear> ear;
  uint64_t number;
  {
    MutexLock lock(mu_);
    number = dialled_++;
    if (const auto it = ears_.find(std::string(name)); it != ears_.end()) ear = it->second;
  }
  ConnectionFaults faults;
  if (options_.faults) {
    MutexLock lock(faults_mu_);
    faults = options_.faults(number);
  }
  if (faults.refused) {
    return absl::UnavailableError(
        absl::StrCat("connect ", AddressOf(name), ": refused by a fault"));
  }
  const absl::Status nobody =
      absl::UnavailableError(absl::StrCat("connect ", AddressOf(name), ": nobody listens there"));
  if (ear == nullptr) return nobody;
  auto link =
      std::make_shared<InProcessPipe>(number, options_.buffer_bytes, faults, clock, *ear->clock);
  auto here = std::make_unique<InProcessTransport>(link, InProcessPipe::Side::kDialer);
  auto there = std::make_unique<InProcessTransport>(link, InProcessPipe::Side::kListener);
  {
    MutexLock lock(mu_);
    for (auto it = links_.begin(); it != links_.end();) {
      it = it->second.expired() ? links_.erase(it) : std::next(it);
    }
    links_.emplace(number, link);
  }
  MutexLock lock(ear->mu);
  if (ear->on_connection == nullptr) return nobody;
  ear->on_connection(std::move(there), absl::StrCat(AddressOf(name), "#", number));
  return here;
}

std::shared_ptr<InProcessPipe> InProcessNetwork::Find(uint64_t connection) const {
  MutexLock lock(mu_);
  const auto it = links_.find(connection);
  std::shared_ptr<InProcessPipe> link = it == links_.end() ? nullptr : it->second.lock();
  return link != nullptr && link->open() ? link : nullptr;
}

std::vector<uint64_t> InProcessNetwork::connections() const {
  MutexLock lock(mu_);
  std::vector<uint64_t> open;
  for (const auto& [number, weak] : links_) {
    const std::shared_ptr<InProcessPipe> link = weak.lock();
    if (link != nullptr && link->open()) open.push_back(number);
  }
  return open;
}

uint64_t InProcessNetwork::dialled() const {
  MutexLock lock(mu_);
  return dialled_;
}

bool InProcessNetwork::Cut(uint64_t connection) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Cut();
  return link != nullptr;
}

bool InProcessNetwork::Change(uint64_t connection, const ConnectionFaults& faults) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Change(faults);
  return link != nullptr;
}

bool InProcessNetwork::Hold(uint64_t connection) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Hold(true);
  return link != nullptr;
}

bool InProcessNetwork::Release(uint64_t connection) {
  const std::shared_ptr<InProcessPipe> link = Find(connection);
  if (link != nullptr) link->Hold(false);
  return link != nullptr;
}

}  // namespace weft
