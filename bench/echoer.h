// weft's echo service where nothing but the echo is wanted.
//
// Threads  as Service
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "bench/echo.weft.h"

namespace weft::bench {

class Echoer final : public EchoService::Service {
 public:
  absl::Status Echo(ServerContext&, EchoRequest& request, EchoResponse& reply) override {
    reply.set_payload(std::move(*request.mutable_payload()));
    return absl::OkStatus();
  }
};

}  // namespace weft::bench
