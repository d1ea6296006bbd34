#include "tests/support/scripted_dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

namespace weft {

using namespace internal;

namespace {

void Put16(std::string* out, unsigned value) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value));
}

unsigned Get16(const std::string& in, size_t at) {
  return static_cast<unsigned>(static_cast<uint8_t>(in[at])) << 8 |
         static_cast<uint8_t>(in[at + 1]);
}

void PutRecord(std::string* out, unsigned owner, unsigned type, const std::string& data) {
  Put16(out, owner);
  Put16(out, type);
  Put16(out, 1);
  // The time to live, which nobody here looks at.
  out->append(std::string("\0\0\0\5", 4));
  Put16(out, static_cast<unsigned>(data.size()));
  out->append(data);
}

bool ReadFully(int fd, char* to, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::read(fd, to + done, size - done);
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  return true;
}

bool Has(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

ScriptedDns::ScriptedDns(Script script, const std::string& ip, uint16_t port)
    : script_(std::move(script)) {
  // UDP and TCP need the same port. The kernel chooses it for one, and it may be taken for the
  // other.
  for (int i = 0; i < 100 && !tcp_.valid(); ++i) {
    udp_ = Socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    HostPort host_port;
    host_port.host = ip;
    host_port.port = port;
    SocketAddress address = *SocketAddress::From(host_port);
    EXPECT_EQ(::bind(udp_.fd(), address.get(), address.length()), 0) << address.ToString();
    address = *udp_.LocalAddress();
    port_ = address.port();
    absl::StatusOr<Socket> tcp = Socket::Listen(address, 16);
    if (tcp.ok()) tcp_ = *std::move(tcp);
  }
  EXPECT_TRUE(tcp_.valid());
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  stopped_ = Socket(ends[0]);
  stop_ = Socket(ends[1]);
  thread_ = std::thread([this] { Run(); });
}

ScriptedDns::~ScriptedDns() {
  stop_.Close();
  thread_.join();
}

bool ScriptedDns::WaitUntilAsked(const std::string& question) const {
  return asked_.WaitFor([&](const auto& asked) { return Has(asked, question); });
}

bool ScriptedDns::WaitUntilAnswered(const std::string& question) const {
  return answered_.WaitFor([&](const auto& answered) { return Has(answered, question); });
}

void ScriptedDns::Run() {
  std::vector<Socket> silent;  // TCP clients that wait in vain
  for (;;) {
    pollfd waits[] = {{udp_.fd(), POLLIN, 0}, {tcp_.fd(), POLLIN, 0}, {stopped_.fd(), POLLIN, 0}};
    ::poll(waits, 3, -1);
    if (waits[2].revents != 0) return;
    if (waits[0].revents != 0) {
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      char query[512];
      const ssize_t n = ::recvfrom(udp_.fd(), query, sizeof query, 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
      if (n < 12) continue;
      const std::string reply = Answer(std::string(query, static_cast<size_t>(n)), false);
      if (!reply.empty()) {
        (void)::sendto(udp_.fd(), reply.data(), reply.size(), 0,
                       reinterpret_cast<const sockaddr*>(&from), length);
      }
      answered_.Update([&](auto& answered) { answered.push_back(last_); });
    }
    if (waits[1].revents != 0) {
      Socket client(::accept4(tcp_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      std::string head(2, '\0');
      if (!client.valid() || !ReadFully(client.fd(), head.data(), 2)) continue;
      std::string query(Get16(head, 0), '\0');
      if (!ReadFully(client.fd(), query.data(), query.size())) continue;
      const std::string reply = Answer(query, true);
      std::string framed;
      Put16(&framed, static_cast<unsigned>(reply.size()));
      framed += reply;
      if (reply.empty()) {
        silent.push_back(std::move(client));
      } else {
        (void)!::write(client.fd(), framed.data(), framed.size());
      }
      answered_.Update([&](auto& answered) { answered.push_back(last_); });
    }
  }
}

std::string ScriptedDns::Answer(const std::string& query, bool tcp) {
  Question question;
  // The question's name stands behind the header, in labels with a length each.
  size_t at = 12;
  for (; query[at] != 0; at += static_cast<size_t>(query[at]) + 1) {
    if (!question.name.empty()) question.name += '.';
    question.name += query.substr(at + 1, static_cast<size_t>(query[at]));
  }
  question.ipv6 = Get16(query, at + 1) == 28;
  question.tcp = tcp;
  const Reply reply = script_(question);
  last_ = question.name + (question.ipv6 ? " AAAA" : " A") + (tcp ? " tcp" : "");
  asked_.Update([&](auto& asked) { asked.push_back(last_); });
  if (reply.silent) return "";
  std::string out = query.substr(0, 2);
  const bool truncated = reply.truncated && !tcp;
  // A response to a recursive question, recursion available (RFC 1035, 4.1.1); 0x0200: truncated.
  Put16(&out, 0x8180u | (truncated ? 0x0200u : 0u) | static_cast<unsigned>(reply.code));
  Put16(&out, 1);
  Put16(&out, static_cast<unsigned>(reply.addresses.size() + (reply.alias.empty() ? 0 : 1)));
  Put16(&out, 0);
  Put16(&out, 0);
  out += query.substr(12, at + 5 - 12);
  unsigned owner = 0xc00c;  // the name in the question
  if (!reply.alias.empty()) {
    // The alias's name begins behind its record's fixed part: owner, type, class, time to live and
    // length.
    const unsigned target = static_cast<unsigned>(out.size()) + 12;
    PutRecord(&out, owner, 5,
              std::string(1, static_cast<char>(reply.alias.size())) + reply.alias + '\0');
    owner = 0xc000u | target;
  }
  for (const std::string& text : reply.addresses) {
    char ip[16];
    const bool is_ipv6 = text.find(':') != std::string::npos;
    EXPECT_EQ(::inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text.c_str(), ip), 1) << text;
    PutRecord(&out, owner, is_ipv6 ? 28 : 1, std::string(ip, is_ipv6 ? 16 : 4));
  }
  return out;
}

}  // namespace weft
