// The messages of one call after another: made once, used again, as gRPC's guide to speed advises.
//
// Threads  one thread at a time
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>

#include <grpcpp/grpcpp.h>

#include "bench/echo.pb.h"
#include "bench/peers/common/call_recorder.h"
#include "bench/peers/common/echo_run.h"

namespace weft::bench {

class GrpcCall {
 public:
  explicit GrpcCall(EchoRun& run) : run_(run) { request_.set_payload(run.pattern().bytes()); }

  // A new call begins at `now`: a new context, the payload numbered.
  void Renew(uint64_t now) {
    start_ = now;
    run_.pattern().Stamp(request_.mutable_payload()->data(), ++number_);
    context_.emplace();
  }

  grpc::ClientContext* context() { return &*context_; }
  const EchoRequest& request() const { return request_; }
  EchoResponse& response() { return response_; }

  // Takes the call down as ended at `now`. True: go on with another.
  bool Finish(const grpc::Status& status, uint64_t now) {
    CallRecorder& recorder = run_.recorder();
    if (!status.ok()) {
      std::fprintf(stderr, "call failed: %d %s\n", static_cast<int>(status.error_code()),
                   status.error_message().c_str());
      return recorder.Finish(start_, now, /*good=*/false);
    }
    const std::string& payload = response_.payload();
    return recorder.Finish(start_, now, recorder.Check(payload.data(), payload.size(), number_));
  }

 private:
  EchoRun& run_;
  std::optional<grpc::ClientContext> context_;
  EchoRequest request_;
  EchoResponse response_;
  uint64_t start_ = 0;
  uint64_t number_ = 0;
};

}  // namespace weft::bench
