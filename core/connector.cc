#include "weft/core/connector.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "weft/core/address_order.h"
#include "weft/core/fd_watch.h"
#include "weft/core/plain_transport.h"

namespace weft {
namespace {

// As many addresses are named in an error.
constexpr size_t kNamedFailures = 4;

bool Has(const std::vector<SocketAddress>& list, const SocketAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

}  // namespace

// A connect that is not decided yet.
class Connector::Attempt final : private WatchEvents {
 public:
  Attempt(Connector& connector, SocketAddress address, Socket socket)
      : connector_(connector), address_(std::move(address)), socket_(std::move(socket)) {}

  absl::Status Start() LOOP_ONLY {
    absl::Status s = watch_.Start(connector_.loop_, socket_.fd(), this);
    if (s.ok()) watch_.WatchWrite(true);
    return s;
  }
  const SocketAddress& address() const { return address_; }
  absl::Status Result() const { return socket_.ConnectResult(); }
  Socket TakeSocket() LOOP_ONLY {
    watch_.Stop();
    return std::move(socket_);
  }

 private:
  void OnReadable() override {}
  void OnWritable() override {
    connector_.loop_.AssertInLoop();
    connector_.OnDecided(this);  // destroys this, and perhaps the connector
  }

  Connector& connector_;
  const SocketAddress address_;
  Socket socket_;
  FdWatch watch_ LOOP_OWNED;  // after the socket: ends before it
};

Connector::Connector(EventLoop& loop, std::shared_ptr<InProcessNetwork> network,
                     ResolverOptions resolver)
    : loop_(loop),
      network_(std::move(network)),
      resolver_(loop, std::move(resolver)),
      limit_(loop,
             [this] {
               loop_.AssertInLoop();
               OnLimit();
             }),
      begin_(loop,
             [this] {
               loop_.AssertInLoop();
               Begin();
             }),
      next_(loop, [this] {
        loop_.AssertInLoop();
        TryNext();
      }) {}

Connector::~Connector() WEFT_NO_THREAD_ANALYSIS { Cancel(); }

void Connector::Start(const HostPort& target, const std::string& target_text, Nanos limit,
                      OnConnected done) {
  Cancel();
  target_ = target;
  target_text_ = target_text;
  phase_ = "resolve";
  handed_over_ = SocketAddress();
  done_ = std::move(done);
  started_ = loop_.clock().Now();
  ends_ = SaturatingAdd(started_, limit);
  limit_.StartAt(ends_);
  begin_.StartAt(started_);
}

void Connector::Cancel() {
  resolver_.Cancel();
  for (Timer* timer : {&limit_, &begin_, &next_}) timer->Stop();
  attempts_.clear();
  // Nothing of them stays with an idle channel; `clear` would keep the memory.
  std::vector<SocketAddress>().swap(untried_);
  std::vector<SocketAddress>().swap(found_);
  std::vector<std::string>().swap(failures_);
  all_found_ = false;
  done_ = nullptr;
}

void Connector::AvoidLast() {
  if (handed_over_.length() > 0) TryLast(handed_over_);
}

void Connector::Begin() {
  if (target_.is_in_process()) {
    phase_ = "connect";
    Finish(network_ != nullptr ? network_->Dial(target_.in_process_name, loop_.clock())
                               : absl::UnavailableError(absl::StrCat("connect ", target_text_,
                                                                     ": no in-process network")));
    return;
  }
  const Nanos lookup = ends_ == kNever ? Nanos::max() : (ends_ - started_) / 3 * 2;
  resolver_.Resolve(target_, lookup,
                    [this](absl::StatusOr<std::vector<SocketAddress>> found, bool last) {
                      loop_.AssertInLoop();
                      OnFound(std::move(found), last);
                    });
}

void Connector::OnFound(absl::StatusOr<std::vector<SocketAddress>> found, bool last) {
  all_found_ = last;
  if (!found.ok()) {
    Finish(absl::UnavailableError(absl::StrCat(std::string(found.status().message()), After())));
    return;
  }
  bool ipv6 = false;
  for (const SocketAddress& address : *found) {
    ipv6 = ipv6 || address.family() == AF_INET6;
    if (found_.size() == kMaxAddresses || Has(found_, address)) continue;
    found_.push_back(address);
    untried_.push_back(address);
  }
  untried_ = Order(std::move(untried_));
  if (phase_ == "resolve" && !last && !ipv6) {
    next_.StartAfter(std::min<Nanos>(kResolutionDelay, (ends_ - loop_.clock().Now()) / 4));
  } else if (phase_ == "resolve" || attempts_.empty()) {
    TryNext();
  } else if (!untried_.empty() && !next_.armed()) {
    next_.StartAfter(HeadStart());
  }
}

// Failed addresses come last; of them, the one that failed the longest ago first.
std::vector<SocketAddress> Connector::Order(std::vector<SocketAddress> addresses) {
  addresses = InOrderOfTrying(std::move(addresses));
  const auto rank = [last = last_to_try_](const SocketAddress& a) {
    const auto it = std::find(last.begin(), last.end(), a);
    return it == last.end() ? 0 : 1 + (it - last.begin());
  };
  std::stable_sort(
      addresses.begin(), addresses.end(),
      [&](const SocketAddress& a, const SocketAddress& b) { return rank(a) < rank(b); });
  return addresses;
}

Nanos Connector::HeadStart() {
  if (ends_ == kNever) return kHeadStart;
  const Nanos share = (ends_ - loop_.clock().Now()) / static_cast<int64_t>(untried_.size() + 1);
  return std::clamp<Nanos>(share, kMinHeadStart, kHeadStart);
}

void Connector::TryNext() {
  phase_ = "connect";
  next_.Stop();
  while (!untried_.empty()) {
    const SocketAddress address = untried_.front();
    untried_.erase(untried_.begin());
    bool connected = false;
    absl::StatusOr<Socket> socket = Socket::StartConnect(address, &connected);
    if (!socket.ok()) {
      Failed(address, socket.status().message());
      continue;
    }
    if (connected) {
      Connected(address, *std::move(socket));
      return;
    }
    auto attempt = std::make_unique<Attempt>(*this, address, *std::move(socket));
    if (absl::Status s = attempt->Start(); !s.ok()) {
      Failed(address, s.message());
      continue;
    }
    attempts_.push_back(std::move(attempt));
    if (!untried_.empty()) next_.StartAfter(HeadStart());
    return;
  }
  if (!attempts_.empty() || !all_found_) return;
  Finish(absl::UnavailableError(absl::StrCat("connect ", Failures(), After())));
}

void Connector::OnDecided(Attempt* attempt) {
  const auto it = std::find_if(attempts_.begin(), attempts_.end(),
                               [&](const auto& a) { return a.get() == attempt; });
  const std::unique_ptr<Attempt> decided = std::move(*it);
  attempts_.erase(it);
  if (const absl::Status result = decided->Result(); !result.ok()) {
    Failed(decided->address(), result.message());
    TryNext();
    return;
  }
  Connected(decided->address(), decided->TakeSocket());
}

void Connector::Connected(const SocketAddress& address, Socket socket) {
  // They had a head start and did not use it.
  for (const auto& slower : attempts_) TryLast(slower->address());
  handed_over_ = address;
  last_to_try_.erase(std::remove(last_to_try_.begin(), last_to_try_.end(), address),
                     last_to_try_.end());
  Finish(std::make_unique<PlainTransport>(std::move(socket)));
}

void Connector::OnLimit() {
  std::string text = absl::StrCat(phase_, " ", target_text_, ": no answer");
  std::vector<std::string> silent;
  for (const auto& attempt : attempts_) {
    TryLast(attempt->address());
    silent.push_back(attempt->address().ToString());
  }
  if (silent.size() > kNamedFailures) silent.resize(kNamedFailures);
  if (!silent.empty() && silent.front() != target_text_) {
    absl::StrAppend(&text, " from ", absl::StrJoin(silent, ", "));
  }
  absl::StrAppend(&text, After());
  if (!failures_.empty()) absl::StrAppend(&text, "; before that: ", Failures());
  Finish(absl::UnavailableError(text));
}

void Connector::Failed(const SocketAddress& address, absl::string_view reason) {
  // The system call and the address are named once.
  const std::string text = address.ToString();
  absl::ConsumePrefix(&reason, "connect");
  absl::ConsumePrefix(&reason, absl::StrCat(" ", text));
  absl::ConsumePrefix(&reason, ": ");
  failures_.push_back(absl::StrCat(text, ": ", reason));
  TryLast(address);
}

void Connector::TryLast(const SocketAddress& address) {
  last_to_try_.erase(std::remove(last_to_try_.begin(), last_to_try_.end(), address),
                     last_to_try_.end());
  if (last_to_try_.size() == kMaxAddresses) last_to_try_.erase(last_to_try_.begin());
  last_to_try_.push_back(address);
}

void Connector::Finish(absl::StatusOr<std::unique_ptr<Transport>> result) {
  OnConnected done = std::move(done_);
  Cancel();
  if (done) done(std::move(result));
}

// "10.0.0.7:80: Connection refused", with the name before it where it was one.
std::string Connector::Failures() const {
  std::vector<std::string> named(failures_.begin(),
                                 failures_.begin() + std::min(failures_.size(), kNamedFailures));
  std::string text = absl::StrJoin(named, "; ");
  if (failures_.size() > named.size()) {
    absl::StrAppend(&text, "; and ", failures_.size() - named.size(), " more");
  }
  const bool named_already =
      failures_.size() == 1 && found_.size() == 1 && found_[0].ToString() == target_text_;
  return named_already ? text : absl::StrCat(target_text_, ": ", text);
}

std::string Connector::After() {
  return absl::StrCat(" (after ", InMs(loop_.clock().Now() - started_), ")");
}

}  // namespace weft
