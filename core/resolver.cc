#include "weft/core/resolver.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/core/hosts_file.h"

namespace weft::internal {
namespace {

// RFC 1035, 2.3.4: 255 bytes on the wire, which are 253 of text.
constexpr size_t kMaxNameBytes = 253;

bool IsLocalhost(const std::string& name) {
  return absl::EqualsIgnoreCase(name, "localhost") || absl::EndsWithIgnoreCase(name, ".localhost");
}

}  // namespace

std::vector<std::string> SearchNames(const std::string& name,
                                     const std::vector<std::string>& search, int ndots) {
  // A dot at the end says that the name is complete.
  if (name.back() == '.') return {name.substr(0, name.size() - 1)};
  std::vector<std::string> names;
  for (const std::string& domain : search) {
    if (domain.empty()) continue;
    std::string candidate = absl::StrCat(name, domain.front() == '.' ? "" : ".", domain);
    if (candidate.back() == '.') candidate.pop_back();
    if (candidate.size() <= kMaxNameBytes) names.push_back(std::move(candidate));
  }
  // As resolv.conf(5) has it: a name with enough dots is likely complete.
  const bool as_it_is_first = std::count(name.begin(), name.end(), '.') >= ndots;
  names.insert(as_it_is_first ? names.begin() : names.end(), name);
  return names;
}

Resolver::Resolver(EventLoop& loop, ResolverOptions options)
    : loop_(loop), options_(std::move(options)), limit_(loop, [this] {
        loop_.AssertInLoop();
        if (told_) {
          // One family has answered, and the other has had its time.
          Tell({}, true);
        } else {
          Fail(absl::StrCat("no answer from the name servers within ", InMs(time_)));
        }
      }) {}

Resolver::~Resolver() WEFT_NO_THREAD_ANALYSIS { Cancel(); }

void Resolver::Cancel() {
  limit_.Stop();
  on_found_ = nullptr;
  dns_.reset();
}

void Resolver::Resolve(const HostPort& host_port, Nanos limit, OnFound on_found) {
  Cancel();
  on_found_ = std::move(on_found);
  host_ = name_ = host_port.host;
  port_ = host_port.port;
  told_ = false;
  absl::StatusOr<SocketAddress> address = SocketAddress::From(host_port);
  if (address.ok()) {
    Tell({*address}, true);
    return;
  }
  if (!absl::IsNotFound(address.status())) {
    Fail(std::string(address.status().message()));
    return;
  }
  if (name_.back() == '.') name_.pop_back();
  absl::StatusOr<std::unique_ptr<DnsClient>> dns =
      DnsClient::Create(loop_, options_, limit, [this](DnsClient::Answer answer) {
        loop_.AssertInLoop();
        OnAnswer(std::move(answer));
      });
  // Without name servers the hosts file is all there is. 'f' first is the usual order of
  // nsswitch.conf.
  const bool files_first = !dns.ok() || (*dns)->facts().lookups[0] == 'f';
  if (files_first && FindInFiles()) return;
  // RFC 6761, 6.3: never asked of a name server, whose answer could send local traffic elsewhere.
  if (IsLocalhost(name_)) {
    if (!files_first && FindInFiles()) return;
    Tell({*SocketAddress::Parse(absl::StrCat("[::1]:", port_)),
          *SocketAddress::Parse(absl::StrCat("127.0.0.1:", port_))},
         true);
    return;
  }
  if (!dns.ok()) {
    Fail(std::string(dns.status().message()));
    return;
  }
  dns_ = *std::move(dns);
  worst_ = DnsClient::Answer();
  worst_.verdict = DnsClient::Verdict::kNoName;
  worst_.why = "no such name in the hosts file";
  candidates_.clear();
  next_ = 0;
  // nsswitch.conf may leave out DNS. Then no candidate is asked, and AskNext fails at once.
  if (dns_->facts().lookups.find('b') != std::string::npos) {
    candidates_ = SearchNames(host_, dns_->facts().search, dns_->facts().ndots);
  }
  time_ = limit;
  limit_.StartAfter(limit);
  AskNext();
}

bool Resolver::FindInFiles() {
  std::vector<SocketAddress> found = FindInHosts(options_.hosts, name_, port_);
  if (found.empty()) return false;
  Tell(std::move(found), true);
  return true;
}

void Resolver::AskNext() {
  if (next_ == candidates_.size()) {
    OnNobodyKnows();
    return;
  }
  // One for each family.
  answers_left_ = 2;
  dns_->Ask(candidates_[next_++]);
}

void Resolver::OnAnswer(DnsClient::Answer answer) {
  using Verdict = DnsClient::Verdict;
  --answers_left_;
  if (answer.verdict == Verdict::kFound) {
    std::vector<SocketAddress> found;
    for (const SocketAddress& a : answer.addresses) found.push_back(a.WithPort(port_));
    Tell(std::move(found), answers_left_ == 0);
    return;
  }
  // One family has found something, so the other's failure is no error.
  if (told_) {
    Tell({}, true);
    return;
  }
  // A failure may pass, and so says more than that a name is not there.
  if (worst_.verdict != Verdict::kFailed && (next_ == 1 || answer.verdict != Verdict::kNoName)) {
    worst_ = answer;
  }
  // A name that is not there has no address of the other family either.
  if (answers_left_ == 0 || answer.verdict == Verdict::kNoName) AskNext();
}

void Resolver::OnNobodyKnows() {
  if (dns_->facts().lookups[0] != 'f' && dns_->facts().lookups.find('f') != std::string::npos &&
      FindInFiles()) {
    return;
  }
  Fail(worst_.why);
}

void Resolver::Tell(std::vector<SocketAddress> found, bool last) {
  told_ = true;
  const OnFound tell = on_found_;
  // Before the call, which may begin another lookup or destroy this.
  if (last) Cancel();
  tell(std::move(found), last);
}

void Resolver::Fail(const std::string& why) {
  std::string text = absl::StrCat("resolve ", host_, ": ", why);
  if (dns_ != nullptr && next_ > 0) {
    absl::StrAppend(&text, "; asked ", dns_->facts().servers);
    if (candidates_.size() > 1) {
      absl::StrAppend(&text, " for ",
                      absl::StrJoin(candidates_.begin(), candidates_.begin() + next_, ", "));
    }
  }
  const OnFound tell = on_found_;
  Cancel();
  tell(absl::UnavailableError(text), true);
}

}  // namespace weft::internal
