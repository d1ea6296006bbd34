#include "weft/rpc/mesh/simulated_network.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/random_bits.h"

namespace weft {

using namespace internal;

namespace {

using Side = InProcessPipe::Side;

std::string NameOf(const InProcessRoute& route) {
  return absl::StrCat(route.from, ">", route.to.empty() ? route.name : route.to, "#",
                      route.connection);
}

Side SideOf(const InProcessRoute& route, std::string_view host) {
  return route.from == host ? Side::kDialer : Side::kListener;
}

}  // namespace

// The rules between hosts, applied to each dial, write and close.
class SimulatedNetwork::Wires final : public InProcessTap {
 public:
  using Pair = std::pair<std::string, std::string>;  // from, to
  struct Rule {
    LinkQuality quality;
    bool partitioned = false;
  };

  Wires(uint64_t seed, const LinkQuality& link, SimulationTrace& trace)
      : random_(seed), link_(link), trace_(trace) {}

  Rule& RuleOf(std::string_view from, std::string_view to) {
    return rules_.try_emplace(Pair(from, to), Rule{.quality = link_}).first->second;
  }
  bool partitioned(std::string_view from, std::string_view to) const {
    const auto it = rules_.find(Pair(from, to));
    return it != rules_.end() && it->second.partitioned;
  }
  ConnectionFaults FaultsOf(const InProcessRoute& route) {
    return {.to_listener = ScriptOf(route.from, route.to),
            .to_dialer = ScriptOf(route.to, route.from)};
  }
  std::map<Pair, Rule>& rules() { return rules_; }
  // Each host: alive (none), or the way it died.
  std::map<std::string, std::optional<Death>, std::less<>>& hosts() { return hosts_; }

  // InProcessTap
  Dialled OnDial(const InProcessRoute& route, ConnectionFaults* faults) override {
    // Remembered, since a host that is down has no listener whose name could be asked.
    if (!route.to.empty()) host_of_name_[route.name] = route.to;
    const std::string& to = HostOf(route);
    const std::string what = absl::StrCat("dial ", NameOf(route));
    const auto from_host = hosts_.find(route.from), to_host = hosts_.find(to);
    if (from_host != hosts_.end() && from_host->second.has_value()) {
      faults->refused = true;  // remains of a killed node must not reach anyone
      return Dialled::kConnects;
    }
    if (partitioned(route.from, to) || partitioned(to, route.from) ||
        (to_host != hosts_.end() && to_host->second == Death::kSilence)) {
      trace_.Note(absl::StrCat(what, " silence"));
      return Dialled::kSilence;
    }
    // Without a listener the in-process network refuses the dial by itself.
    trace_.Note(absl::StrCat(what, route.to.empty() ? " refused" : " connects"));
    *faults = FaultsOf(route);
    return Dialled::kConnects;
  }
  void OnBytes(const InProcessRoute& route, bool by_dialer, const iovec* pieces, size_t size,
               bool vanish) override {
    const std::string& by = by_dialer ? route.from : route.to;
    // A killed node winds down in ways that the others cannot see. The trace must not depend on
    // them.
    if (Dead(by)) return;
    uint64_t hash = SimulationTrace::kBasis;
    size_t left = size;
    for (const iovec* piece = pieces; left > 0; ++piece) {
      const size_t part = std::min(left, piece->iov_len);
      hash = SimulationTrace::Hash(hash, piece->iov_base, part);
      left -= part;
    }
    trace_.Note(absl::StrCat(NameOf(route), " ", by, " writes ", size, " ",
                             absl::Hex(hash, absl::kZeroPad16), vanish ? " lost" : ""));
  }
  void OnClose(const InProcessRoute& route, bool by_dialer) override {
    const std::string& by = by_dialer ? route.from : route.to;
    if (!Dead(by)) trace_.Note(absl::StrCat(NameOf(route), " ", by, " closes"));
  }

 private:
  bool Dead(const std::string& host) const {
    const auto it = hosts_.find(host);
    return it != hosts_.end() && it->second.has_value();
  }
  // The host that listens, or last listened, on the route's name.
  const std::string& HostOf(const InProcessRoute& route) const {
    const auto it = host_of_name_.find(route.name);
    return it != host_of_name_.end() ? it->second : route.name;
  }
  FaultScript ScriptOf(const std::string& from, const std::string& to) {
    const auto it = rules_.find(Pair(from, to));
    const LinkQuality& quality = it != rules_.end() ? it->second.quality : link_;
    return {.delay = quality.delay,
            .max_delay = quality.max_delay,
            .bytes_per_second = quality.bytes_per_second,
            // Drawn for each connection and direction: their delays differ, and come out the same
            // in each run.
            .seed = NextRandomBits(&random_)};
  }

  uint64_t random_;
  const LinkQuality link_;
  SimulationTrace& trace_;
  std::map<Pair, Rule> rules_;
  std::map<std::string, std::optional<Death>, std::less<>> hosts_;
  std::map<std::string, std::string> host_of_name_;
};

SimulatedNetwork::SimulatedNetwork(uint64_t seed, const LinkQuality& link, size_t buffer_bytes,
                                   SimulationTrace& trace)
    : trace_(trace),
      wires_(std::make_shared<Wires>(seed, link, trace)),
      network_(InProcessNetwork::Create({.buffer_bytes = buffer_bytes, .tap = wires_})) {}

SimulatedNetwork::~SimulatedNetwork() = default;

// ---- how bytes travel

void SimulatedNetwork::SetLink(std::string_view a, std::string_view b, const LinkQuality& link) {
  SetLinkOneWay(a, b, link);
  SetLinkOneWay(b, a, link);
}

void SimulatedNetwork::SetLinkOneWay(std::string_view from, std::string_view to,
                                     const LinkQuality& link) {
  trace_.Note(absl::StrCat(
      "link ", AbslView(from), ">", AbslView(to), " ", absl::ToInt64Nanoseconds(link.delay), "-",
      absl::ToInt64Nanoseconds(link.max_delay), " ns ", link.bytes_per_second, " B/s"));
  wires_->RuleOf(from, to).quality = link;
  Apply(from, to);
}

void SimulatedNetwork::Apply(std::string_view a, std::string_view b) {
  for (const InProcessRoute& route : Between(a, b)) {
    network_->Change(route.connection, wires_->FaultsOf(route));
    // A partition holds bytes back instead of dropping them: TCP would send them again after the
    // healing.
    network_->HoldOneWay(route.connection, Side::kDialer,
                         wires_->partitioned(route.from, route.to));
    network_->HoldOneWay(route.connection, Side::kListener,
                         wires_->partitioned(route.to, route.from));
  }
}

// ---- what does not get through

void SimulatedNetwork::SetPartitioned(std::string_view from, std::string_view to,
                                      bool partitioned) {
  bool& now = wires_->RuleOf(from, to).partitioned;
  if (now == partitioned) return;
  now = partitioned;
  trace_.Note(
      absl::StrCat(partitioned ? "partition " : "heal ", AbslView(from), ">", AbslView(to)));
  Apply(from, to);
}

void SimulatedNetwork::PartitionOneWay(std::string_view from, std::string_view to) {
  SetPartitioned(from, to, true);
}

void SimulatedNetwork::Partition(std::string_view a, std::string_view b) {
  SetPartitioned(a, b, true);
  SetPartitioned(b, a, true);
}

void SimulatedNetwork::Isolate(std::string_view name) {
  for (const auto& [host, death] : wires_->hosts()) {
    if (host != name) Partition(name, host);
  }
}

void SimulatedNetwork::Heal(std::string_view a, std::string_view b) {
  SetPartitioned(a, b, false);
  SetPartitioned(b, a, false);
}

void SimulatedNetwork::HealAll() {
  // A copy: SetPartitioned may add rules while this goes through them.
  std::vector<Wires::Pair> pairs;
  for (const auto& [pair, rule] : wires_->rules()) pairs.push_back(pair);
  for (const auto& [from, to] : pairs) SetPartitioned(from, to, false);
}

bool SimulatedNetwork::partitioned(std::string_view from, std::string_view to) const {
  return wires_->partitioned(from, to);
}

// ---- connections

std::vector<InProcessRoute> SimulatedNetwork::connections() const { return network_->routes(); }

std::vector<InProcessRoute> SimulatedNetwork::Between(std::string_view a,
                                                      std::string_view b) const {
  std::vector<InProcessRoute> between = connections();
  std::erase_if(between, [&](const InProcessRoute& route) {
    return !(route.from == a && route.to == b) && !(route.from == b && route.to == a);
  });
  return between;
}

size_t SimulatedNetwork::Cut(std::string_view a, std::string_view b) {
  const std::vector<InProcessRoute> between = Between(a, b);
  for (const InProcessRoute& route : between) {
    trace_.Note(absl::StrCat(NameOf(route), " cut"));
    network_->Cut(route.connection);
  }
  return between.size();
}

size_t SimulatedNetwork::CutAll() {
  const std::vector<InProcessRoute> all = connections();
  for (const InProcessRoute& route : all) {
    trace_.Note(absl::StrCat(NameOf(route), " cut"));
    network_->Cut(route.connection);
  }
  return all.size();
}

size_t SimulatedNetwork::CutHeardBy(std::string_view hears, std::string_view other) {
  const std::vector<InProcessRoute> between = Between(hears, other);
  for (const InProcessRoute& route : between) {
    trace_.Note(absl::StrCat(NameOf(route), " cut, heard by ", AbslView(hears)));
    network_->CutOneEnd(route.connection, SideOf(route, hears));
  }
  return between.size();
}

// ---- hosts

std::shared_ptr<InProcessNetwork> SimulatedNetwork::AddHost(std::string_view name) {
  wires_->hosts()[std::string(name)] = std::nullopt;
  return network_->For(std::string(name));
}

void SimulatedNetwork::RemoveHost(std::string_view name, Death death) {
  // First: whatever the dying node does from here on stays out of the trace.
  wires_->hosts()[std::string(name)] = death;
  for (const InProcessRoute& route : connections()) {
    if (route.from != name && route.to != name) continue;
    if (death == Death::kReset) {
      // Behind a partition the others hear of the death only after the healing: a reset would be
      // held back, too.
      network_->Cut(route.connection, InProcessPipe::Held::kHearsLater);
    } else {
      network_->Silence(route.connection);
    }
  }
}

}  // namespace weft
