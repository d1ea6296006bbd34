// How many mutexes client and server take together for one call, in a process of both.
//
//   locks_per_call [--calls <n>] [--warmup <n>] [--size <bytes>]
//
// Blocking unary calls, one after the other, over TCP; loops that do not spin. It counts in a build
// with WEFT_COUNT_LOCKS (cmake --preset release -DWEFT_COUNT_LOCKS=ON).
//
// The last line: "locks a call: L".
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bench/echoer.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "weft/core/mutex.h"
#include "weft/core/runtime.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft::bench {
namespace {

std::shared_ptr<Runtime> NewRuntime() {
  absl::StatusOr<std::shared_ptr<Runtime>> runtime =
      Runtime::Create({.worker_threads = 1, .spin = absl::ZeroDuration()});
  if (!runtime.ok()) Fail(runtime.status().ToString());
  return *std::move(runtime);
}

void Call(EchoService::Stub& stub, const EchoRequest& request, int64_t times) {
  for (int64_t i = 0; i < times; ++i) {
    const absl::StatusOr<EchoResponse> reply = stub.Echo(request);
    if (!reply.ok()) Fail(reply.status().ToString());
  }
}

void Main(Arguments arguments) {
  const int64_t calls = arguments.Integer("calls", 20'000, 1, 100'000'000);
  Echoer echoer;
  Server server(ServerOptions{.runtime = NewRuntime()});
  if (absl::Status s = server.Register(echoer); !s.ok()) Fail(s.ToString());
  if (absl::Status s = server.Start("127.0.0.1:0"); !s.ok()) Fail(s.ToString());
  absl::StatusOr<std::unique_ptr<Channel>> channel =
      Channel::Create(absl::StrCat("127.0.0.1:", server.port()), {.runtime = NewRuntime()});
  if (!channel.ok()) Fail(channel.status().ToString());
  EchoService::Stub stub(**channel);
  EchoRequest request;
  request.set_payload(
      std::string(static_cast<size_t>(arguments.Integer("size", 32, 0, 1 << 20)), 'x'));
  Call(stub, request, arguments.Integer("warmup", 1'000, 1, 100'000'000));
  const uint64_t before = internal::LocksTaken();
  Call(stub, request, calls);
  const uint64_t taken = internal::LocksTaken() - before;
  if (!internal::kCountsLocks) {
    std::printf("built without WEFT_COUNT_LOCKS: nothing was counted\n");
  } else {
    std::printf("locks a call: %.2f\n", static_cast<double>(taken) / static_cast<double>(calls));
  }
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) {
  weft::bench::Main(weft::bench::Arguments(argc, argv));
  return 0;
}
