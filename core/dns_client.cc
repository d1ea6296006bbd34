#include "weft/core/dns_client.h"

#include <ares.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/fd_watch.h"
#include "weft/core/timer.h"

namespace weft::internal {
namespace {

// RFC 1035, 3.2.2 to 3.2.4, and RFC 3596 for AAAA.
constexpr int kInternet = 1, kTypeA = 1, kTypeAaaa = 28;
// Response codes, RFC 1035, 4.1.1.
constexpr int kServerFailed = 2, kRefused = 5;
// More addresses of one name are not looked at. As many as CandidateAddresses tries.
constexpr int kMaxAddresses = 64;
// A server needs this long to ask others itself. With less, many servers and a short limit would
// make every one seem silent.
constexpr Nanos kMinTryTime = std::chrono::milliseconds(100);

SocketAddress AddressOf(const in_addr& ip) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr = ip;
  return SocketAddress::FromSockaddr(reinterpret_cast<const sockaddr*>(&a), sizeof a);
}

SocketAddress AddressOf(const ares_in6_addr& ip) {
  sockaddr_in6 a{};
  a.sin6_family = AF_INET6;
  std::copy_n(ip._S6_un._S6_u8, sizeof a.sin6_addr.s6_addr, a.sin6_addr.s6_addr);
  return SocketAddress::FromSockaddr(reinterpret_cast<const sockaddr*>(&a), sizeof a);
}

// Fills in what a reply says; or how it is to be understood that none came.
void Understand(int status, const unsigned char* reply, int size, DnsClient::Answer* answer) {
  int count = kMaxAddresses;
  if (status == ARES_SUCCESS && answer->family == AF_INET) {
    ares_addrttl found[kMaxAddresses];
    status = ares_parse_a_reply(reply, size, nullptr, found, &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      answer->addresses.push_back(AddressOf(found[i].ipaddr));
    }
  } else if (status == ARES_SUCCESS) {
    ares_addr6ttl found[kMaxAddresses];
    status = ares_parse_aaaa_reply(reply, size, nullptr, found, &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      answer->addresses.push_back(AddressOf(found[i].ip6addr));
    }
  }
  // A chain of CNAMEs may end without an address.
  if (status == ARES_SUCCESS && answer->addresses.empty()) status = ARES_ENODATA;
  switch (status) {
    case ARES_SUCCESS:
      answer->verdict = DnsClient::Verdict::kFound;
      return;
    case ARES_ENODATA:
      answer->verdict = DnsClient::Verdict::kNoAddress;
      answer->why = "no address (NODATA)";
      return;
    case ARES_ENOTFOUND:
      answer->verdict = DnsClient::Verdict::kNoName;
      answer->why = "no such name (NXDOMAIN)";
      return;
    case ARES_ESERVFAIL:
      answer->why = "the name server failed (SERVFAIL)";
      return;
    case ARES_EREFUSED:
      answer->why = "the name server refused (REFUSED)";
      return;
    case ARES_ETIMEOUT:
      answer->why = "no answer from a name server";
      return;
    case ARES_ECONNREFUSED:
      answer->why = "no name server can be reached";
      return;
    default:
      answer->why = ares_strerror(status);
  }
}

absl::Status Failed(int status, const std::string& file) {
  const std::string text = absl::StrCat("read ", file, ": ", ares_strerror(status));
  if (status == ARES_ENOMEM) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

}  // namespace

Nanos TimeForOneServer(Nanos configured, Nanos limit, int servers) {
  return std::min(configured, std::max(limit / (servers + 1), kMinTryTime));
}

// The c-ares channel, driven by the loop. Answers are gathered while c-ares is at work and told
// when it has returned, so that the listener may destroy it.
class DnsClient::Channel {
 public:
  Channel(EventLoop& loop, OnAnswer on_answer)
      : loop_(loop),
        on_answer_(std::move(on_answer)),
        time_(loop,
              [this] {
                loop_.AssertInLoop();
                Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
              }),
        tell_(loop, [this] {
          loop_.AssertInLoop();
          Tell();
        }) {}
  ~Channel() WEFT_NO_THREAD_ANALYSIS {
    // ares_destroy calls OnReply for each open question, and Tell may be on the stack below.
    *gone_ = true;
    Close();
  }

  absl::Status Open(const ResolverOptions& options, Nanos limit) WEFT_LOOP_ONLY {
    // Once for the process, and never undone: another user of c-ares may need it still.
    static const int library = ares_library_init(ARES_LIB_INIT_ALL);
    if (library != ARES_SUCCESS) return Failed(library, "c-ares");
    int status = Init(options, options.try_time);
    if (status != ARES_SUCCESS) return Failed(status, options.resolv_conf);
    Nanos configured;
    int servers = 0;
    if (status = Learn(&configured, &servers); status != ARES_SUCCESS) {
      return Failed(status, options.resolv_conf);
    }
    const Nanos share = TimeForOneServer(configured, limit, servers);
    if (options.try_time > Nanos::zero() || share == configured) return absl::OkStatus();
    // Made again: c-ares takes this setting only so.
    Close();
    status = Init(options, share);
    return status == ARES_SUCCESS ? absl::OkStatus() : Failed(status, options.resolv_conf);
  }

  const Facts& facts() const { return facts_; }

  void Ask(const std::string& name) WEFT_LOOP_ONLY {
    // OnReply drops the answers of an earlier question, which come inside with ARES_ECANCELLED.
    ares_cancel(channel_);
    answers_.clear();
    refusal_ = 0;
    for (const int family : {AF_INET6, AF_INET}) {
      ares_query(channel_, name.c_str(), kInternet, family == AF_INET ? kTypeA : kTypeAaaa,
                 // Owned by c-ares until OnReply, which it calls exactly once for each question,
                 // also when it is cancelled.
                 &OnReply, new Question{this, family});
    }
    Rearm();
    // Some failures come inside ares_query. They are told in a later turn, never inside Ask.
    if (!answers_.empty()) tell_.StartAt(loop_.clock().Now());
  }

 private:
  struct Question {
    Channel* channel;
    int family;
  };

  // A socket that c-ares opened, until it says that it closes it.
  class Watched final : public WatchEvents {
   public:
    Watched(Channel& channel, int fd) : channel_(channel), fd_(fd) {}
    // Either may destroy this.
    void OnReadable() override { Enter(fd_, ARES_SOCKET_BAD); }
    void OnWritable() override { Enter(ARES_SOCKET_BAD, fd_); }
    FdWatch watch;

   private:
    void Enter(int readable, int writable) {
      channel_.loop_.AssertInLoop();
      channel_.Process(readable, writable);
    }
    Channel& channel_;
    const int fd_;
  };

  int Init(const ResolverOptions& options, Nanos try_time) WEFT_LOOP_ONLY {
    ares_options o{};
    std::string resolv_conf = options.resolv_conf;
    o.resolvconf_path = resolv_conf.data();
    o.udp_port = o.tcp_port = options.dns_port;
    o.sock_state_cb = &OnSocket;
    o.sock_state_cb_data = this;
    int mask = ARES_OPT_RESOLVCONF | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT | ARES_OPT_SOCK_STATE_CB;
    if (try_time > Nanos::zero()) {
      o.timeout =
          static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(try_time).count());
      mask |= ARES_OPT_TIMEOUTMS;
    }
    const int status = ares_init_options(&channel_, &o, mask);
    if (status != ARES_SUCCESS) {
      channel_ = nullptr;
      return status;
    }
    static const ares_socket_functions functions = {&NewSocket, &CloseSocket, &ConnectSocket,
                                                    &Receive, &Send};
    ares_set_socket_functions(channel_, &functions, this);
    return status;
  }

  int Learn(Nanos* configured, int* servers) WEFT_LOOP_ONLY {
    ares_options o{};
    int mask = 0;
    int status = ares_save_options(channel_, &o, &mask);
    if (status == ARES_SUCCESS) {
      *configured = std::chrono::milliseconds(o.timeout);
      facts_.ndots = o.ndots;
      facts_.search.assign(o.domains, o.domains + o.ndomains);
      facts_.lookups = o.lookups != nullptr ? o.lookups : "fb";
    }
    ares_destroy_options(&o);
    ares_addr_port_node* list = nullptr;
    if (status == ARES_SUCCESS) status = ares_get_servers_ports(channel_, &list);
    std::vector<std::string> texts;
    for (const ares_addr_port_node* n = list; n != nullptr; n = n->next) {
      char text[INET6_ADDRSTRLEN] = "";
      ares_inet_ntop(n->family, &n->addr, text, sizeof text);
      texts.emplace_back(text);
    }
    if (list != nullptr) ares_free_data(list);
    *servers = static_cast<int>(texts.size());
    facts_.servers = absl::StrJoin(texts, ", ");
    return status;
  }

  void Close() WEFT_LOOP_ONLY {
    if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
  }

  void Process(int readable, int writable) WEFT_LOOP_ONLY {
    // May call OnSocket, which may destroy the Watched whose event this is.
    ares_process_fd(channel_, readable, writable);
    Rearm();
    Tell();
  }

  void Tell() WEFT_LOOP_ONLY {
    // Copies, for the listener may destroy this channel inside.
    const std::shared_ptr<bool> gone = gone_;
    const OnAnswer on_answer = on_answer_;
    while (!*gone && !answers_.empty()) {
      Answer answer = std::move(answers_.front());
      answers_.pop_front();
      on_answer(std::move(answer));
    }
  }

  void Rearm() WEFT_LOOP_ONLY {
    timeval left{};
    if (ares_timeout(channel_, nullptr, &left) == nullptr) {
      time_.Stop();
      return;
    }
    // c-ares counts in milliseconds; a look too early would be one for nothing.
    time_.StartAfter(std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec) +
                     std::chrono::milliseconds(1));
  }

  // The system calls, as c-ares makes them, but for a look at what comes: where all servers failed,
  // c-ares says only that none could be reached.
  static ares_socket_t NewSocket(int family, int type, int protocol, void*) {
    return ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  }
  static int CloseSocket(ares_socket_t fd, void*) { return ::close(fd); }
  static int ConnectSocket(ares_socket_t fd, const sockaddr* to, ares_socklen_t size, void*) {
    return ::connect(fd, to, size);
  }
  static ares_ssize_t Receive(ares_socket_t fd, void* to, size_t size, int flags, sockaddr* from,
                              ares_socklen_t* from_size, void* self) {
    const ssize_t n = ::recvfrom(fd, to, size, flags, from, from_size);
    constexpr ssize_t kHeader = 12;
    if (n < kHeader || from == nullptr) return n;  // part of a TCP stream
    auto& channel = *static_cast<Channel*>(self);
    channel.loop_.AssertInLoop();
    // The RCODE: the low four bits of the header's fourth byte.
    const int code = static_cast<const unsigned char*>(to)[3] & 0x0f;
    if (code == kServerFailed || code == kRefused) channel.refusal_ = code;
    return n;
  }
  static ares_ssize_t Send(ares_socket_t fd, const iovec* pieces, int count, void*) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = static_cast<size_t>(count);
    // MSG_NOSIGNAL: over TCP a server may have closed, and SIGPIPE would end the application.
    return ::sendmsg(fd, &message, MSG_NOSIGNAL);
  }

  static void OnReply(void* self, int status, int, unsigned char* reply, int size) {
    const std::unique_ptr<Question> question(static_cast<Question*>(self));
    // The channel may be half destroyed: only the question itself may be touched.
    if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED) return;
    Channel& channel = *question->channel;
    channel.loop_.AssertInLoop();
    if (status == ARES_ECONNREFUSED && channel.refusal_ != 0) {
      status = channel.refusal_ == kRefused ? ARES_EREFUSED : ARES_ESERVFAIL;
    }
    Answer answer;
    answer.family = question->family;
    Understand(status, reply, size, &answer);
    channel.answers_.push_back(std::move(answer));
  }

  static void OnSocket(void* self, ares_socket_t fd, int readable, int writable) {
    auto& channel = *static_cast<Channel*>(self);
    channel.loop_.AssertInLoop();
    if (readable == 0 && writable == 0) {
      channel.sockets_.erase(fd);
      return;
    }
    std::unique_ptr<Watched>& socket = channel.sockets_[fd];
    if (socket == nullptr) {
      socket = std::make_unique<Watched>(channel, fd);
      // Without it the server's time passes, and the next one is asked.
      socket->watch.Start(channel.loop_, fd, socket.get()).IgnoreError();
    }
    socket->watch.WatchRead(readable != 0);
    socket->watch.WatchWrite(writable != 0);
  }

  EventLoop& loop_;
  const OnAnswer on_answer_;
  const std::shared_ptr<bool> gone_ = std::make_shared<bool>(false);
  ares_channel channel_ WEFT_LOOP_OWNED = nullptr;
  Facts facts_;
  std::map<int, std::unique_ptr<Watched>> sockets_ WEFT_LOOP_OWNED;
  std::deque<Answer> answers_ WEFT_LOOP_OWNED;
  int refusal_ WEFT_LOOP_OWNED = 0;  // the last code of a server that did not serve
  Timer time_ WEFT_LOOP_OWNED;
  Timer tell_ WEFT_LOOP_OWNED;
};

DnsClient::DnsClient(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {}
DnsClient::~DnsClient() = default;

absl::StatusOr<std::unique_ptr<DnsClient>> DnsClient::Create(EventLoop& loop,
                                                             const ResolverOptions& options,
                                                             Nanos limit, OnAnswer on_answer) {
  auto channel = std::make_unique<Channel>(loop, std::move(on_answer));
  if (absl::Status s = channel->Open(options, limit); !s.ok()) return s;
  return std::unique_ptr<DnsClient>(new DnsClient(std::move(channel)));
}

const DnsClient::Facts& DnsClient::facts() const { return channel_->facts(); }

void DnsClient::Ask(const std::string& name) { channel_->Ask(name); }

}  // namespace weft::internal
