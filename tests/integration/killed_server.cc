// The server that KilledServer kills: serves echoes on the address that it is given, until then.
#include <unistd.h>

#include <cstdio>

#include "absl/status/status.h"
#include "tests/integration/stack.h"

int main(int argc, char** argv) {
  weft::test::HookedEcho service;
  weft::Server server;
  absl::Status status = argc == 2 ? server.Register(service)
                                  : absl::InvalidArgumentError("usage: killed_server ADDRESS");
  if (status.ok()) status = server.Start(argv[1]);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  // Until SIGKILL, after which nothing of an orderly end runs.
  ::pause();
  return 0;
}
