// One node of a mesh that tests/net/run.py makes of many processes.
//
//   mesh_node --name a --listen 10.0.0.1:7000 --members FILE [--heartbeat-ms N] [--backoff-ms N]
//             [--max-backoff-ms N] [--connect-ms N] [--output-bytes N] [--watch 0|1]
//
// With --watch 0 the members file is read again only when the node asks for it. Commands come by
// line on standard input:
//
//   start                        makes the node and starts it
//   call ID NAME MS WAIT BYTES   one call with a timeout, that waits for its peer (1) or does not
//                                (0), with so many bytes of payload
//   load RATE MS WAIT SLEEP      from now on so many calls a second, to all other members in turn,
//                                whose handlers sleep for so many ms; rate 0: none any more
//   snapshot ID NAME PIECES BYTES
//                                reads a stream of so many pieces from there
//   broadcast ID COUNT SLOW WANT MS BYTES REST
//                                so many, one after the other, to all others; SLOW: fail, skip or
//                                wait; WANT: so many good answers, 0: the end of each
//   state                        what the node says of its peers
//   memory                       the bytes that the process has in memory
//   stop MS                      stops with that drain, and ends
//
// All that happens is a line of JSON on standard output, with the monotonic clock's seconds as "t":
// "started", "event", "ran" (an execution), "call" and "end" (of one made here), "snapshot" and
// "broadcast" (their ends), "state", "memory", "stopped". When standard input ends the process ends
// at once, as by SIGKILL.
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "net.weft.h"
#include "weft/core/clock.h"
#include "weft/core/mutex.h"
#include "weft/rpc/broadcast.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/mesh/members_file.h"
#include "weft/rpc/node.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// gcc installs no header that declares it.
extern "C" size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace weft::net {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte >= 0x7F) {
      absl::StrAppend(&quoted, "\\u00", absl::Hex(byte, absl::kZeroPad2));
    } else {
      quoted += c;
    }
  }
  quoted += '"';
  return quoted;
}

// A line of JSON, written whole when it is destroyed.
class Line {
 public:
  explicit Line(std::string_view what) {
    const double now =
        std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    char text[64];
    std::snprintf(text, sizeof text, "{\"t\": %.6f, \"is\": ", now);
    absl::StrAppend(&text_, text, Quoted(what));
  }
  ~Line() {
    text_ += "}\n";
    const ssize_t written = ::write(STDOUT_FILENO, text_.data(), text_.size());
    if (written != static_cast<ssize_t>(text_.size())) std::abort();  // nobody could judge the rest
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  Line& Say(std::string_view name, std::string_view value) { return Raw(name, Quoted(value)); }
  Line& Number(std::string_view name, int64_t value) { return Raw(name, absl::StrCat(value)); }
  Line& Seconds(std::string_view name, absl::Duration value) {
    return Raw(name, absl::StrCat(absl::ToDoubleSeconds(value)));
  }
  Line& Yes(std::string_view name, bool value) { return Raw(name, value ? "true" : "false"); }
  Line& Status(const absl::Status& status) {
    Say("code", absl::StatusCodeToString(status.code()));
    const absl::string_view why = status.message();
    return Say("why", std::string_view(why.data(), why.size()));
  }
  Line& Raw(std::string_view name, std::string_view json) {
    absl::StrAppend(&text_, ", ", Quoted(name), ": ", absl::string_view(json.data(), json.size()));
    return *this;
  }

 private:
  std::string text_;
};

std::string_view NameOf(NodeEvent::Kind kind) {
  switch (kind) {
    case NodeEvent::Kind::kPeer:
      return "peer";
    case NodeEvent::Kind::kView:
      return "view";
    case NodeEvent::Kind::kViewFailed:
      return "view_failed";
    case NodeEvent::Kind::kViewsDiffer:
      return "views_differ";
    case NodeEvent::Kind::kWrongNode:
      return "wrong_node";
    case NodeEvent::Kind::kDuplicateName:
      return "duplicate_name";
    case NodeEvent::Kind::kRefused:
      return "refused";
  }
  return "unknown";
}

void Write(const NodeEvent& event) {
  Line line("event");
  line.Say("kind", NameOf(event.kind)).Say("peer", event.peer);
  if (event.kind == NodeEvent::Kind::kPeer) line.Say("state", PeerStates::Name(event.state));
  line.Status(event.why).Number("epoch", static_cast<int64_t>(event.epoch));
  line.Number("coalesced", event.coalesced);
}

class WorkService final : public Work::Service {
 public:
  explicit WorkService(std::string node) : node_(std::move(node)) {}
  absl::Status Do(ServerContext& call, Job& job, Done& done) override {
    Line("ran").Say("id", job.id()).Say("from", call.peer());
    if (job.sleep_ms() > 0) absl::SleepFor(absl::Milliseconds(job.sleep_ms()));
    done.set_node(node_);
    return absl::OkStatus();
  }
  absl::Status Load(ServerContext&, Snapshot& wish, ServerWriter<Piece>& out) override {
    Line("ran").Say("id", wish.id());
    Piece piece;
    piece.set_payload(std::string(static_cast<size_t>(wish.piece_bytes()), 's'));
    for (int64_t i = 0; i < wish.pieces(); ++i) {
      if (!out.Write(piece)) return absl::CancelledError("nobody reads");
    }
    return absl::OkStatus();
  }

 private:
  const std::string node_;
};

struct CallWish {
  std::string id, to;
  absl::Duration timeout;
  bool wait = false;
  int64_t bytes = 0;
  int64_t sleep_ms = 0;
};

void Call(Node& node, const CallWish& wish) {
  auto context = std::make_shared<ClientContext>();
  Job job;
  job.set_id(wish.id);
  job.set_payload(std::string(static_cast<size_t>(wish.bytes), 'x'));
  job.set_sleep_ms(wish.sleep_ms);
  const std::shared_ptr<Peer> peer = node.To(wish.to);
  Line("call").Say("id", wish.id).Say("to", wish.to);
  Work::Stub(*peer).DoAsync(
      job, {.timeout = wish.timeout, .context = context.get(), .wait_for_ready = wish.wait},
      [wish, peer, context](const absl::StatusOr<Done>& done) {
        Line line("end");
        line.Say("id", wish.id).Say("to", wish.to).Status(done.status());
        line.Say("by", done.ok() ? done->node() : "");
        line.Yes("may_have_run", context->may_have_been_executed());
        line.Seconds("took", context->total()).Number("attempts", context->attempts());
      });
}

// Blocks until the stream has ended.
void ReadSnapshot(Node& node, const std::string& to, const Snapshot& wish) {
  const std::shared_ptr<Peer> peer = node.To(to);
  Work::Stub stub(*peer);
  ClientReader<Piece> pieces = stub.Load(wish, {.timeout = absl::InfiniteDuration()});
  int64_t count = 0, bytes = 0;
  for (Piece piece; pieces.Read(&piece); ++count) {
    bytes += static_cast<int64_t>(piece.payload().size());
  }
  const absl::Status end = pieces.Finish();
  Line("snapshot").Say("id", wish.id()).Number("pieces", count).Number("bytes", bytes).Status(end);
}

struct BroadcastWish {
  std::string id, slow;
  int64_t count = 0, want = 0, ms = 0, bytes = 0, rest = 0;
};

// Blocks until the last one has ended.
void MakeBroadcasts(Node& node, const BroadcastWish& wish) {
  BroadcastOptions options;
  options.want = wish.want > 0 ? Want::AtLeast(static_cast<int>(wish.want)) : Want::Each();
  options.timeout = absl::Milliseconds(wish.ms);
  options.self = Self::kLeftOut;
  options.let_rest_run = wish.rest != 0;
  options.slow = wish.slow == "fail"   ? Slow::kFail
                 : wish.slow == "skip" ? Slow::kSkip
                                       : Slow::kWait;
  for (int64_t i = 0; i < wish.count; ++i) {
    Job job;
    job.set_id(absl::StrCat(wish.id, ".", i));
    job.set_payload(std::string(static_cast<size_t>(wish.bytes), 'b'));
    const absl::Time began = absl::Now();
    const BroadcastResult<Done> result = Broadcast(node, Work::kDo, job, options);
    std::string ends;
    for (const PeerReply<Done>& peer : result.peers) {
      const std::string end = peer.end == PeerEnd::kOpen ? "open"
                              : peer.end == PeerEnd::kSkipped
                                  ? "skipped"
                                  : absl::StatusCodeToString(peer.reply.status().code());
      absl::StrAppend(&ends, ends.empty() ? "" : ", ", Quoted(peer.name), ": ", Quoted(end));
    }
    Line line("broadcast");
    line.Say("id", job.id()).Status(result.status).Seconds("took", absl::Now() - began);
    line.Number("ok", result.ok).Raw("ends", absl::StrCat("{", ends, "}"));
  }
}

// Calls at a steady rate, to all other members in turn.
class Loader {
 public:
  explicit Loader(Node& node) : node_(node) {}
  ~Loader() { Stop(); }
  void Start(int64_t rate, absl::Duration timeout, bool wait, int64_t sleep_ms) {
    Stop();
    if (rate <= 0) return;
    on_.store(true);
    thread_ = std::thread([this, rate, timeout, wait, sleep_ms] {
      const absl::Duration pause = absl::Seconds(1) / rate;
      for (absl::Time next = absl::Now(); on_.load(); next += pause) {
        absl::SleepFor(next - absl::Now());
        CallNext(timeout, wait, sleep_ms);
      }
    });
  }
  void Stop() {
    on_.store(false);
    if (thread_.joinable()) thread_.join();
  }

 private:
  void CallNext(absl::Duration timeout, bool wait, int64_t sleep_ms) {
    std::vector<std::string> names;
    for (const Member& member : node_.view().view.members()) {
      if (member.name != node_.name()) names.push_back(member.name);
    }
    if (names.empty()) return;
    ++number_;
    Call(node_, {absl::StrCat(node_.name(), ".", node_.incarnation(), ".", number_),
                 names[number_ % names.size()], timeout, wait, 32, sleep_ms});
  }

  Node& node_;
  std::atomic<bool> on_{false};
  uint64_t number_ = 0;
  std::thread thread_;
};

std::string Json(const PeerConnectionInfo& connection) {
  return absl::StrCat(
      "{\"id\": ", connection.id, ", \"dialled\": ", connection.dialled ? "true" : "false",
      ", \"leaving\": ", connection.leaving ? "true" : "false",
      ", \"suspect\": ", connection.suspect ? "true" : "false",
      ", \"age\": ", absl::ToDoubleSeconds(connection.age), ", \"calls\": ", connection.calls, "}");
}

std::string Json(const PeerInfo& peer) {
  std::string connections;
  for (const PeerConnectionInfo& connection : peer.connections) {
    absl::StrAppend(&connections, connections.empty() ? "" : ", ", Json(connection));
  }
  const std::string_view state = PeerStates::Name(peer.state);
  const absl::string_view why = peer.why.message();
  return absl::StrCat("{\"name\": ", Quoted(peer.name), ", \"address\": ", Quoted(peer.address),
                      ", \"state\": ", Quoted(state),
                      ", \"in_state\": ", absl::ToDoubleSeconds(peer.in_state),
                      ", \"why\": ", Quoted(std::string_view(why.data(), why.size())),
                      ", \"incarnation\": ", peer.incarnation, ", \"dials\": ", peer.dials,
                      ", \"failures\": ", peer.failures, ", \"connections\": [", connections, "]}");
}

void WriteState(const Node& node) {
  std::string peers;
  for (const PeerInfo& peer : node.peers()) {
    absl::StrAppend(&peers, peers.empty() ? "" : ", ", Json(peer));
  }
  Line("state").Raw("peers", absl::StrCat("[", peers, "]"));
}

// A sanitizer keeps what was freed for a while, so there its books say what is in use.
size_t MemoryInUse() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return __sanitizer_get_current_allocated_bytes();
#else
  std::ifstream statm("/proc/self/statm");
  size_t whole = 0, resident = 0;
  statm >> whole >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
#endif
}

struct Settings {
  std::string members;
  NodeOptions node;
  bool watch = true;
};

bool Parse(int argc, char** argv, Settings* settings) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--name") {
      settings->node.name = value;
    } else if (name == "--listen") {
      settings->node.listen = {value};
    } else if (name == "--members") {
      settings->members = value;
    } else {
      int64_t number = 0;
      if (!absl::SimpleAtoi(value, &number)) return false;
      const absl::Duration time = absl::Milliseconds(number);
      if (name == "--heartbeat-ms") {
        settings->node.heartbeat = time;
      } else if (name == "--backoff-ms") {
        settings->node.calls.backoff = time;
      } else if (name == "--max-backoff-ms") {
        settings->node.calls.max_backoff = time;
      } else if (name == "--connect-ms") {
        settings->node.calls.connect_timeout = time;
      } else if (name == "--output-bytes") {
        settings->node.server.limits.max_output_bytes = static_cast<size_t>(number);
      } else if (name == "--watch") {
        settings->watch = number != 0;
      } else {
        return false;
      }
    }
  }
  return !settings->node.name.empty() && !settings->members.empty();
}

absl::StatusOr<std::unique_ptr<Node>> Start(const Settings& settings, WorkService& service) {
  MembersFileOptions file;
  if (!settings.watch) {
    file.inotify = false;
    file.look_every = absl::ZeroDuration();
  }
  absl::StatusOr<std::shared_ptr<MembersFile>> members =
      MembersFile::Create(settings.members, std::move(file));
  if (!members.ok()) return members.status();
  NodeOptions options = settings.node;
  options.cluster = "net";
  options.members = *std::move(members);
  options.server.io_threads = 2;
  options.server.worker_threads = 2;
  options.on_event = [](const NodeEvent& event) { Write(event); };
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Create(std::move(options));
  if (!node.ok()) return node.status();
  if (absl::Status s = (*node)->Register(service); !s.ok()) return s;
  if (absl::Status s = (*node)->Start(); !s.ok()) return s;
  return node;
}

// The process ends with what this returns.
int Serve(const Settings& settings) {
  WorkService service(settings.node.name);
  std::unique_ptr<Node> node;
  std::unique_ptr<Loader> loader;
  std::vector<std::thread> readers;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "start") {
      absl::StatusOr<std::unique_ptr<Node>> started = Start(settings, service);
      if (!started.ok()) {
        Line("failed").Status(started.status());
        return 1;
      }
      node = *std::move(started);
      loader = std::make_unique<Loader>(*node);
      Line("started").Number("incarnation", static_cast<int64_t>(node->incarnation()));
    } else if (node == nullptr) {
      std::_Exit(2);
    } else if (verb == "call") {
      CallWish wish;
      int64_t ms = 0;
      words >> wish.id >> wish.to >> ms >> wish.wait >> wish.bytes;
      wish.timeout = absl::Milliseconds(ms);
      Call(*node, wish);
    } else if (verb == "load") {
      int64_t rate = 0, ms = 0, sleep_ms = 0;
      bool wait = false;
      words >> rate >> ms >> wait >> sleep_ms;
      loader->Start(rate, absl::Milliseconds(ms), wait, sleep_ms);
    } else if (verb == "snapshot") {
      std::string id, to;
      int64_t pieces = 0, bytes = 0;
      words >> id >> to >> pieces >> bytes;
      Snapshot wish;
      wish.set_id(id);
      wish.set_pieces(pieces);
      wish.set_piece_bytes(bytes);
      readers.emplace_back([&node, to, wish] { ReadSnapshot(*node, to, wish); });
    } else if (verb == "broadcast") {
      BroadcastWish wish;
      words >> wish.id >> wish.count >> wish.slow >> wish.want >> wish.ms >> wish.bytes >>
          wish.rest;
      readers.emplace_back([&node, wish] { MakeBroadcasts(*node, wish); });
    } else if (verb == "state") {
      WriteState(*node);
    } else if (verb == "memory") {
      Line("memory").Number("bytes", static_cast<int64_t>(MemoryInUse()));
    } else if (verb == "stop") {
      int64_t ms = 0;
      words >> ms;
      loader->Stop();
      node->Stop(absl::Milliseconds(ms));
      for (std::thread& reader : readers) reader.join();
      node = nullptr;
      Line("stopped");
      return 0;
    } else {
      std::_Exit(2);  // threads still run
    }
  }
  // The script that drives it has gone; threads still run.
  std::_Exit(0);
}

}  // namespace
}  // namespace weft::net

int main(int argc, char** argv) {
  weft::net::Settings settings;
  if (!weft::net::Parse(argc, argv, &settings)) {
    std::fprintf(stderr, "see the beginning of tests/net/mesh_node.cc\n");
    return 2;
  }
  return weft::net::Serve(settings);
}
