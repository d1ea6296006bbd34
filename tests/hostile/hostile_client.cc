// The client that hostile servers meet, and an honest one for servers under attack: makes calls all
// at once on one channel, waits for the end of each, and prints how many ended well.
//
//   hostile_client --address A [--calls N] [--bytes N] [--first-bytes N] [--ordered 0|1]
//                  [--timeout-ms N] [--token TEXT]
//
// The calls have the ids 1, 2 …; the first one carries `first-bytes`. It ends when all calls have,
// however long that takes: who runs it judges a hang.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <latch>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "hostile.weft.h"
#include "weft/rpc/channel.h"

namespace hostile {
namespace {

struct Settings {
  std::string address, token;
  int64_t calls = 1, bytes = 0, first_bytes = -1, ordered = 0, timeout_ms = 10'000;
};

bool Parse(int argc, char** argv, Settings* settings) {
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) return false;
    const std::string value = argv[i + 1];
    int64_t* number = name == "--calls"         ? &settings->calls
                      : name == "--bytes"       ? &settings->bytes
                      : name == "--first-bytes" ? &settings->first_bytes
                      : name == "--ordered"     ? &settings->ordered
                      : name == "--timeout-ms"  ? &settings->timeout_ms
                                                : nullptr;
    if (number != nullptr) {
      if (!absl::SimpleAtoi(value, number)) return false;
    } else if (name == "--address") {
      settings->address = value;
    } else if (name == "--token") {
      settings->token = value;
    } else {
      return false;
    }
  }
  return !settings->address.empty();
}

int Run(const Settings& settings) {
  weft::ChannelOptions options;
  options.auth_token = settings.token;
  options.connect_timeout = absl::Seconds(1);
  options.backoff = absl::Milliseconds(20);
  options.max_backoff = absl::Milliseconds(200);
  auto channel = weft::Channel::Create(settings.address, options);
  if (!channel.ok()) {
    std::fprintf(stderr, "%s\n", channel.status().ToString().c_str());
    return 1;
  }
  std::latch left(settings.calls);
  std::atomic<int64_t> ok{0};
  Target::Stub stub(**channel);
  for (int64_t id = 1; id <= settings.calls; ++id) {
    const bool first = id == 1 && settings.first_bytes >= 0;
    Job job;
    job.set_id(id);
    job.set_payload(
        std::string(static_cast<size_t>(first ? settings.first_bytes : settings.bytes), 'x'));
    const weft::CallOptions call{.timeout = absl::Milliseconds(settings.timeout_ms),
                                 .wait_for_ready = true};
    auto done = [&ok, &left](const absl::StatusOr<Done>& reply) {
      if (reply.ok()) ok.fetch_add(1);
      left.count_down();
    };
    settings.ordered != 0 ? stub.DoOrderedAsync(job, call, std::move(done))
                          : stub.DoAsync(job, call, std::move(done));
  }
  left.wait();
  std::printf("%lld of %lld\n", static_cast<long long>(ok.load()),
              static_cast<long long>(settings.calls));
  return 0;
}

}  // namespace
}  // namespace hostile

int main(int argc, char** argv) {
  hostile::Settings settings;
  if (!hostile::Parse(argc, argv, &settings)) {
    std::fprintf(stderr, "see the beginning of tests/hostile/hostile_client.cc\n");
    return 2;
  }
  return hostile::Run(settings);
}
