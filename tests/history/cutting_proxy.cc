#include "tests/history/cutting_proxy.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "weft/core/random_bits.h"

namespace weft::test {
namespace {

// The most bytes that are read at once, and held back.
constexpr size_t kMaxWaiting = 64 << 10;

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

uint64_t Below(uint64_t* random, uint64_t n) { return internal::NextRandomBits(random) % n; }

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

CuttingProxy::CuttingProxy(uint64_t seed) : seed_(seed), cuts_random_(seed) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || ::bind(listener_, any, length) != 0 || ::listen(listener_, 512) != 0 ||
      ::getsockname(listener_, any, &length) != 0) {
    std::fprintf(stderr, "the proxy cannot listen\n");
    std::exit(3);
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Forward(); });
}

CuttingProxy::~CuttingProxy() {
  ending_.store(true);
  thread_.join();
  ::close(listener_);
}

CuttingProxy::Counts CuttingProxy::counts() const {
  return {connections_.load(), cut_.load(), ended_one_way_.load(), silent_.load()};
}

void CuttingProxy::Forward() {
  std::vector<pollfd> polled;
  while (!ending_.load()) {
    polled.assign(1, {listener_, POLLIN, 0});
    for (const auto& link : links_) {
      for (const Way& way : link->ways) {
        // A way is read when nothing of it waits, so that back pressure passes through the proxy.
        if (way.waiting.empty() && !way.at_end) polled.push_back({way.from, POLLIN, 0});
        if (!way.waiting.empty() && way.not_before <= NowUs()) {
          polled.push_back({way.to, POLLOUT, 0});
        }
      }
    }
    // Waits at most a millisecond, since bytes that are held back become due.
    (void)::poll(polled.data(), polled.size(), 1);
    Accept();
    CutWhatIsWanted();
    const int64_t now = NowUs();
    for (const auto& link : links_) {
      for (Way& way : link->ways) {
        if (!link->over) Serve(*link, way, now);
      }
    }
    std::erase_if(links_, [](const auto& link) { return link->over; });
  }
  for (const auto& link : links_) End(*link, false);
}

void CuttingProxy::Accept() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Loopback(server_port_.load());
    // Loopback answers at once; a server that has gone refuses.
    if (server < 0 ||
        ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      if (server >= 0) ::close(server);
      ::close(client);
      continue;
    }
    (void)::fcntl(server, F_SETFL, O_NONBLOCK);
    auto link = std::make_unique<Link>();
    link->client = client;
    link->server = server;
    link->ways[0].from = link->ways[1].to = client;
    link->ways[0].to = link->ways[1].from = server;
    DrawFate(*link, static_cast<uint64_t>(connections_.fetch_add(1)) + 1);
    links_.push_back(std::move(link));
  }
}

void CuttingProxy::DrawFate(Link& link, uint64_t number) {
  // Mixed twice: a proxy may have its neighbour's seed plus one, and its connections must not meet
  // the same fates one number later.
  uint64_t beginning = seed_;
  beginning = internal::NextRandomBits(&beginning) ^ number;
  uint64_t random = internal::NextRandomBits(&beginning);
  const uint64_t drawn = Below(&random, 100);
  link.fate = drawn < 15   ? Fate::kCut
              : drawn < 30 ? Fate::kReset
              : drawn < 45 ? Fate::kEndOneWay
              : drawn < 52 ? Fate::kSilent
                           : Fate::kNone;
  for (Way& way : link.ways) way.left = 1 + static_cast<int64_t>(Below(&random, 300'000));
  // Often within the handshake and the first calls.
  if (Below(&random, 4) == 0) {
    Way& way = link.ways[Below(&random, 2)];
    way.left = 1 + static_cast<int64_t>(Below(&random, 400));
  }
  link.delay_us = Below(&random, 3) == 0 ? static_cast<int64_t>(Below(&random, 3'000)) : 0;
  link.max_at_once = Below(&random, 3) == 0 ? 1 + Below(&random, 2'000) : kMaxWaiting;
  // One for each way: which of them is read first is the threads' doing, and no seed's.
  for (Way& way : link.ways) way.random = internal::NextRandomBits(&random);
}

void CuttingProxy::CutWhatIsWanted() {
  for (int wanted = cuts_wanted_.exchange(0); wanted > 0 && !links_.empty(); --wanted) {
    if (wanted >= kAll) {
      for (const auto& link : links_) End(*link, Below(&cuts_random_, 2) == 0);
      return;
    }
    Link& link = *links_[Below(&cuts_random_, links_.size())];
    End(link, Below(&cuts_random_, 2) == 0);
  }
}

void CuttingProxy::Serve(Link& link, Way& way, int64_t now) {
  if (way.waiting.empty() && !way.at_end) ReadFrom(link, way, now);
  if (!link.over && !way.waiting.empty() && way.not_before <= now) WriteTo(link, way);
}

void CuttingProxy::ReadFrom(Link& link, Way& way, int64_t now) {
  char bytes[kMaxWaiting];
  const ssize_t n = ::recv(way.from, bytes, std::min(sizeof(bytes), link.max_at_once), 0);
  if (n < 0) {
    if (!WouldBlock()) End(link, true);
    return;
  }
  if (n == 0) {
    way.at_end = true;
    (void)::shutdown(way.to, SHUT_WR);
    if (link.ways[0].at_end && link.ways[1].at_end) End(link, false);
    return;
  }
  // Read and dropped, so that the sender is not held up and cannot tell.
  if (way.silent) return;
  way.waiting.assign(bytes, static_cast<size_t>(n));
  if (link.delay_us > 0) {
    const auto most = static_cast<uint64_t>(link.delay_us);
    way.not_before = now + static_cast<int64_t>(Below(&way.random, most + 1));
  }
}

void CuttingProxy::WriteTo(Link& link, Way& way) {
  size_t size = way.waiting.size();
  const bool last = link.fate != Fate::kNone && way.left <= static_cast<int64_t>(size);
  // Up to the drawn byte and no further: the fate comes there, mostly inside a frame.
  if (last) size = static_cast<size_t>(way.left);
  const ssize_t n = ::send(way.to, way.waiting.data(), size, MSG_NOSIGNAL);
  if (n < 0) {
    if (!WouldBlock()) End(link, true);
    return;
  }
  way.waiting.erase(0, static_cast<size_t>(n));
  if (link.fate == Fate::kNone) return;
  way.left -= n;
  if (way.left == 0) Meet(link, way);
}

// Lets the drawn fate happen to the connection, once.
void CuttingProxy::Meet(Link& link, Way& way) {
  switch (std::exchange(link.fate, Fate::kNone)) {
    case Fate::kNone:
      return;
    case Fate::kCut:
      return End(link, false);
    case Fate::kReset:
      return End(link, true);
    case Fate::kEndOneWay:
      ended_one_way_.fetch_add(1);
      way.silent = true;
      way.waiting.clear();
      (void)::shutdown(way.to, SHUT_WR);
      return;
    case Fate::kSilent:
      silent_.fetch_add(1);
      for (Way& each : link.ways) {
        each.silent = true;
        each.waiting.clear();
      }
      return;
  }
}

void CuttingProxy::End(Link& link, bool reset) {
  if (std::exchange(link.over, true)) return;
  cut_.fetch_add(1);
  const linger at_once{1, 0};
  for (const int socket : {link.client, link.server}) {
    if (reset) (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    ::close(socket);
  }
}

}  // namespace weft::test
