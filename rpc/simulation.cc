#include "weft/rpc/simulation.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/random_bits.h"

namespace weft {

using namespace internal;

namespace {

constexpr char kSeedVariable[] = "WEFT_SEED";
// Marks a step in the hash of the trace, together with its node's number; the test's own is 0.
constexpr uint64_t kStep = uint64_t{1} << 48;

// Derives a seed. Seeds of different things must differ, also for neighbouring seeds of
// simulations: hence two rounds. Never 0.
uint64_t SeedOf(uint64_t seed, uint64_t what) {
  uint64_t state = seed * 2 + 1;
  state = NextRandomBits(&state) ^ what;
  return NextRandomBits(&state) | 1;
}

std::unique_ptr<EventLoop> NewOutside(const Clock& clock, uint64_t seed, const Log& log) {
  EventLoopOptions options;
  options.name = "simulation";
  options.clock = &clock;
  options.log = log;
  options.random = std::make_shared<RandomSource>(seed);
  options.stepped = true;
  return *EventLoop::Create(std::move(options));
}

// The command that this process was started with.
std::string OwnCommand() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  std::string command = all.str();
  while (!command.empty() && command.back() == '\0') command.pop_back();
  std::replace(command.begin(), command.end(), '\0', ' ');
  return command;
}

}  // namespace

// While an object lives, code of that node, or of the test (0), is on the stack.
class Simulation::Within {
 public:
  Within(Choice& choice, uint64_t of) : within_(choice.within) { within_.push_back(of); }
  ~Within() { within_.pop_back(); }
  Within(const Within&) = delete;
  Within& operator=(const Within&) = delete;

 private:
  std::vector<uint64_t>& within_;
};

Simulation::Simulation(SimulationOptions options)
    : options_(std::move(options)),
      clock_(time_),
      trace_(time_, kStart, options_.max_trace_lines),
      outside_(NewOutside(clock_, SeedOf(options_.seed, 1),
                          Log(options_.log_sink != nullptr ? options_.log_sink : StderrLogSink(),
                              options_.log_level))),
      entered_(std::make_unique<EventLoop::Entered>(*outside_)),
      network_(SeedOf(options_.seed, 2), options_.link, options_.buffer_bytes, trace_),
      choice_{.pieces = {}, .places = {}, .random = SeedOf(options_.seed, 3)} {
  outside_steps_.Add(*outside_);
}

Simulation::~Simulation() {
  // Kill all before any is destroyed: a dying program may still send to another node.
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Within within(choice_, i + 1);
    nodes_[i]->Kill(Death::kSilence);
  }
  nodes_.clear();
  outside_steps_.Remove(*outside_);
  outside_->CloseStepped();
  // The timers refer to the outside loop, which is closed but still there.
  timers_.clear();
  entered_.reset();
}

// ---- nodes

SimulatedNode& Simulation::AddNode(std::string name, SimulatedNode::Program program) {
  if (const uint64_t there = NumberOf(name); there != 0) {
    Complain(absl::StrCat("AddNode: there is a node ", name));
    return *nodes_[there - 1];
  }
  trace_.Note(absl::StrCat("start ", name));
  RuntimeOptions runtime;
  runtime.io_threads = options_.io_threads;
  runtime.log_level = options_.log_level;
  runtime.log_sink = options_.log_sink;
  runtime.seed = SeedOf(options_.seed, 1000 + nodes_.size() * 1'000'000);
  nodes_.push_back(std::make_unique<SimulatedNode>(std::move(name), std::move(program),
                                                   std::move(runtime), network_, time_, kStart));
  SimulatedNode& added = *nodes_.back();
  const Within within(choice_, nodes_.size());
  added.Start();
  return added;
}

SimulatedNode& Simulation::node(std::string_view name) {
  const uint64_t number = NumberOf(name);
  if (number == 0) {
    Complain(absl::StrCat("there is no node ", AbslView(name)));
    if (nobody_ == nullptr) {
      nobody_ = std::make_unique<SimulatedNode>("nobody", nullptr, RuntimeOptions(), network_,
                                                time_, kStart);
    }
    return *nobody_;
  }
  return *nodes_[number - 1];
}

uint64_t Simulation::NumberOf(std::string_view name) const {
  const auto it = std::find_if(nodes_.begin(), nodes_.end(),
                               [&](const auto& node) { return node->name() == name; });
  return it != nodes_.end() ? static_cast<uint64_t>(it - nodes_.begin()) + 1 : 0;
}

void Simulation::Complain(const std::string& about) {
  outside_->log().Error(absl::StrCat("simulation, ", absl::FormatDuration(Now()), ": ", about));
}

uint64_t Simulation::NumberFor(const char* what, std::string_view name, bool restarts) {
  const uint64_t number = NumberOf(name);
  if (number == 0) {
    Complain(absl::StrCat(what, ": there is no node ", AbslView(name)));
    return 0;
  }
  const std::vector<uint64_t>& within = choice_.within;
  if (restarts && std::find(within.begin(), within.end(), number) != within.end()) {
    Complain(absl::StrCat(what, " of node ", AbslView(name),
                          " inside its own step, start or death is not done: "
                          "Simulation::After(absl::ZeroDuration(), …) runs behind it"));
    return 0;
  }
  return number;
}

void Simulation::Pause(std::string_view name) {
  const uint64_t number = NumberFor("Pause", name, false);
  if (number == 0) return;
  trace_.Note(absl::StrCat("pause ", AbslView(name)));
  nodes_[number - 1]->SetPaused(true);
}

void Simulation::Resume(std::string_view name) {
  const uint64_t number = NumberFor("Resume", name, false);
  if (number == 0) return;
  trace_.Note(absl::StrCat("resume ", AbslView(name)));
  nodes_[number - 1]->SetPaused(false);
}

void Simulation::Kill(std::string_view name, Death death) {
  const uint64_t number = NumberFor("Kill", name, true);
  if (number == 0) return;
  trace_.Note(
      absl::StrCat("kill ", AbslView(name), death == Death::kReset ? " (reset)" : " (silence)"));
  const Within within(choice_, number);
  nodes_[number - 1]->Kill(death);
}

void Simulation::Restart(std::string_view name) {
  const uint64_t number = NumberFor("Restart", name, true);
  if (number == 0) return;
  const Within within(choice_, number);
  SimulatedNode& again = *nodes_[number - 1];
  again.Kill(Death::kReset);
  trace_.Note(absl::StrCat("restart ", AbslView(name)));
  again.Start();
}

// ---- time

void Simulation::After(absl::Duration d, std::function<void()> f) {
  const uint64_t number = ++last_timer_;
  outside_->AssertInLoop();
  auto timer = std::make_unique<Timer>(*outside_, [this, number, f = std::move(f)] {
    const std::unique_ptr<Timer> fired = std::move(timers_[number]);  // destroyed when `f` has run
    timers_.erase(number);
    f();
  });
  timer->StartAfter(ToNanos(d));
  timers_.emplace(number, std::move(timer));
}

bool Simulation::RefusesToRun(const char* what) {
  if (choice_.within.empty()) return false;
  const uint64_t of = choice_.within.back();
  Complain(absl::StrCat(what, " inside ",
                        of == 0 ? "a step (Simulation::After)"
                                : absl::StrCat("the code of node ", nodes_[of - 1]->name()),
                        " is not done: only whoever runs the simulation may run it"));
  return true;
}

bool Simulation::StepReady() {
  std::vector<Steppable*>& pieces = choice_.pieces;
  pieces.clear();
  choice_.places.clear();
  const auto add = [&](StepSet& set, uint64_t of) {
    set.AppendReady(&pieces);
    choice_.places.resize(pieces.size(), Place{&set, of});
  };
  add(outside_steps_, 0);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->state() == SimulatedNode::State::kUp) add(nodes_[i]->steps(), i + 1);
  }
  if (pieces.empty()) return false;
  // Pieces are in an order that every run repeats (sets by node, pieces as they were added), so the
  // seed alone decides.
  const size_t chosen = NextRandomBits(&choice_.random) % pieces.size();
  const Place place = choice_.places[chosen];
  trace_.Mix(kStep | place.of << 32 | pieces.size() << 16 | chosen);
  ++steps_;
  const Within within(choice_, place.of);
  place.set->Step(*pieces[chosen]);
  return true;
}

MonoTime Simulation::NextTimer() const {
  MonoTime next = outside_steps_.next_step();
  for (const auto& node : nodes_) {
    if (node->state() == SimulatedNode::State::kUp) {
      next = std::min(next, node->steps().next_step());
    }
  }
  return next;
}

bool Simulation::Step() {
  if (RefusesToRun("Step")) return false;
  if (StepReady()) return true;
  const MonoTime next = NextTimer();
  if (next == kNever) return false;
  // Time moves only when nothing is ready: no step takes any time.
  time_ = std::max(time_, next);
  return true;
}

void Simulation::RunFor(absl::Duration d) {
  if (!RefusesToRun("RunFor")) RunUntil([] { return false; }, d);
}

bool Simulation::RunUntil(const std::function<bool()>& done, absl::Duration limit) {
  if (RefusesToRun("RunUntil")) return false;
  const MonoTime end = SaturatingAdd(time_, ToNanos(limit));
  for (;;) {
    if (done()) return true;
    if (StepReady()) continue;
    const MonoTime next = NextTimer();
    if (next > end || next == kNever) break;
    time_ = std::max(time_, next);
  }
  // Nothing happens until `end`: the time goes there, so that the next RunFor begins behind this
  // one.
  if (end != kNever) time_ = end;
  return done();
}

// ---- many seeds

absl::Status Simulation::ForSeeds(uint64_t first, int count,
                                  const std::function<absl::Status(uint64_t)>& run) {
  uint64_t only = 0;
  const char* const said = std::getenv(kSeedVariable);
  const bool one = said != nullptr && absl::SimpleAtoi(said, &only);
  const uint64_t begin = one ? only : first;
  const uint64_t end = one ? only + 1 : first + static_cast<uint64_t>(std::max(count, 0));
  for (uint64_t seed = begin; seed != end; ++seed) {
    const absl::Status result = run(seed);
    if (result.ok()) continue;
    const std::string text = absl::StrCat("seed ", seed, ": ", std::string(result.message()),
                                          "\nalone: ", kSeedVariable, "=", seed, " ", OwnCommand());
    std::fprintf(stderr, "%s\n", text.c_str());
    return absl::Status(result.code(), text);
  }
  return absl::OkStatus();
}

}  // namespace weft
