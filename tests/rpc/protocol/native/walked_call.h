// A call as the client's walk makes it: of any kind, in the style of callbacks, with an account of
// what waits for something and of how it ended.
//
// Threads  Waits, EndsKept: any; WalkedCall: one at a time
// Ends     a WalkedCall that is destroyed gives its call up
#ifndef WEFT_TESTS_RPC_PROTOCOL_NATIVE_WALKED_CALL_H_
#define WEFT_TESTS_RPC_PROTOCOL_NATIVE_WALKED_CALL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/protos/rows.weft.h"
#include "tests/rpc/protocol/native/stream_walk.h"
#include "tests/support/watched.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/client_stream.h"
#include "weft/rpc/call/interceptor.h"

namespace weft::test {

// Counts of waits that began, and of those that are over.
struct Waits {
  Watched<int> begun{0};
  Watched<int> over{0};
  Watched<std::vector<absl::Status>> ends;

  std::function<void()> One() {
    begun.Update([](int& n) { ++n; });
    return [this] { over.Update([](int& n) { ++n; }); };
  }
  [[nodiscard]] bool AllOver() {
    return over.WaitFor([n = begun.Get()](int done) { return done >= n; });
  }
};

// A call of any kind, in the style of callbacks.
class WalkedCall {
 public:
  WalkedCall(Kind kind, Rows::Stub& stub, const std::shared_ptr<Waits>& waits,
             absl::Duration timeout)
      : kind_(kind), waits_(waits) {
    const CallOptions options{.timeout = timeout, .context = &context_};
    switch (kind) {
      case Kind::kUnary:
        stub.GetAsync({}, options, [waits, over = waits->One()](absl::StatusOr<Row> row) {
          waits->ends.Update([&](auto& all) { all.push_back(row.status()); });
          over();
        });
        return;
      case Kind::kClientStreams:
        writer_.emplace(stub.Add(options));
        return;
      case Kind::kServerStreams:
        reader_.emplace(stub.List({}, options));
        return;
      case Kind::kBothStream:
        both_.emplace(stub.Talk(options));
        return;
    }
  }

  void Read() {
    const auto done = [waits = waits_, row = row_, over = waits_->One()](bool) { over(); };
    reader_.has_value() ? reader_->ReadAsync(row_.get(), done) : both_->ReadAsync(row_.get(), done);
  }
  // Until there is no more room, and then waits for some.
  void Write() {
    Row row;
    row.set_text(std::string(900, 'w'));
    const auto on = [&](auto& stream) {
      while (stream.TryWrite(row)) {
      }
      stream.OnReady([waits = waits_, over = waits_->One()] { over(); });
    };
    writer_.has_value() ? on(*writer_) : on(*both_);
  }
  void HalfClose() { writer_.has_value() ? writer_->HalfClose() : both_->HalfClose(); }
  void Cancel() {
    if (kind_ == Kind::kUnary) context_.Cancel();
    if (writer_.has_value()) writer_->Cancel();
    if (reader_.has_value()) reader_->Cancel();
    if (both_.has_value()) both_->Cancel();
  }
  void Finish() {
    if (std::exchange(finishing_, true) || kind_ == Kind::kUnary) return;
    const auto end = [waits = waits_, over = waits_->One()](const absl::Status& status) {
      waits->ends.Update([&](auto& all) { all.push_back(status); });
      over();
    };
    if (writer_.has_value()) {
      writer_->FinishAsync([end](absl::StatusOr<RowSum> sum) { end(sum.status()); });
    }
    if (reader_.has_value()) reader_->FinishAsync(end);
    if (both_.has_value()) both_->FinishAsync(end);
  }
  void Drop() {
    writer_.reset();
    reader_.reset();
    both_.reset();
  }

 private:
  const Kind kind_;
  const std::shared_ptr<Waits> waits_;
  const std::shared_ptr<Row> row_ = std::make_shared<Row>();
  ClientContext context_;
  std::optional<ClientWriter<Row, RowSum>> writer_;
  std::optional<ClientReader<Row>> reader_;
  std::optional<ClientStream<Row, Row>> both_;
  bool finishing_ = false;
};

// Keeps how each call ended, as it was told.
class EndsKept final : public ClientInterceptor {
 public:
  struct End {
    std::string method;
    absl::Status status;
    bool may_have_been_executed;
  };
  absl::StatusOr<std::unique_ptr<Call>> Start(const ClientCallStart& start) override {
    return std::make_unique<Kept>(*this, std::string(start.method));
  }
  Watched<std::vector<End>> ends;

 private:
  class Kept final : public Call {
   public:
    Kept(EndsKept& all, std::string method) : all_(all), method_(std::move(method)) {}
    void OnEnd(const ClientCallEnd& end) override {
      all_.ends.Update([&](auto& list) {
        list.push_back({method_, end.status, end.may_have_been_executed});
      });
    }

   private:
    EndsKept& all_;
    const std::string method_;
  };
};

}  // namespace weft::test

#endif  // WEFT_TESTS_RPC_PROTOCOL_NATIVE_WALKED_CALL_H_
