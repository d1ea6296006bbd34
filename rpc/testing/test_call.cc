#include "weft/rpc/testing/test_call.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <google/protobuf/empty.pb.h>

#include "weft/core/block.h"
#include "weft/core/check.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/base/method_stats.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/service.h"

namespace weft {

using namespace internal;

namespace {

// Tells the thread analysis that this is the loop: a test call has none, so the test's thread may
// act as one.
void BeTheLoop() WEFT_ASSERT_CAPABILITY(on_loop) {}

// Received attachments stand behind the message's bytes; here the message is empty.
void SetAttachment(InboundCall& call, const absl::Cord& attachment) {
  const BlockRef block = BlockRef::New(attachment.size());
  char* to = block->data();
  for (const absl::string_view chunk : attachment.Chunks()) {
    to = std::copy(chunk.begin(), chunk.end(), to);
  }
  call.SetRequest(block, block->data(), attachment.size());
  call.SetPayload(Compression::kNone, 0, attachment.size(),
                  {std::numeric_limits<size_t>::max(), "test"});
  google::protobuf::Empty nothing;
  (void)call.Parse(nothing);
}

}  // namespace

// The call's origin, which takes its answer. The call keeps it alive until it is back in the pool.
class TestCall::Connection final : public CallOrigin {
 public:
  explicit Connection(TestCallOptions options) : options_(std::move(options)) {
    info_.full_name = options_.method;
    method_.info = &info_;
    bound_.method = &method_;
    bound_.stats = &stats_;
  }

  InboundCall& call() const { return *call_; }
  void Open(std::shared_ptr<CallOrigin> self) {
    BeTheLoop();
    call_ = &pool_.Take();
    call_->origin = std::move(self);
    call_->bound = &bound_;
    if (options_.clock != nullptr) call_->clock = options_.clock;
    call_->received = call_->clock->Now();
    call_->deadline = SaturatingAdd(call_->received, ToNanos(options_.timeout));
    std::string metadata(options_.metadata.WireSize(), '\0');
    options_.metadata.WriteTo(metadata.data());
    call_->SetMetadata(metadata);
    if (!options_.attachment.empty()) SetAttachment(*call_, options_.attachment);
  }
  // Ends the test's use of the call. A call that is still to be answered is freed by its answer.
  void Close() {
    BeTheLoop();
    if (!given_) {
      call_->Reset();
      pool_.PutBack(*call_);
    }
    pool_.Close();
  }
  InboundCall& TakeAnswer() {
    WEFT_DCHECK(!given_);
    given_ = true;
    return *call_;
  }

  std::optional<absl::Status> answer() const WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    return answer_;
  }
  void WaitForAnswer() const WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    while (!answer_.has_value()) answered_.Wait(mu_);
  }

  // ---- CallOrigin
  void SendAnswer(InboundCall&, const absl::Status& status, ReplyMessage*, bool) override
      WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    answer_ = status;
    answered_.NotifyAll();
  }
  bool SendInitialMetadata(InboundCall& call) override {
    return !std::exchange(call.initial_metadata().sent, true);
  }
  void OnCallReturned(InboundCall&) override {}
  void WatchDeadline(InboundCall&) override {}
  const std::string& peer() const override { return options_.peer; }
  const std::string& identity() const override { return options_.identity; }

 private:
  const TestCallOptions options_;
  MethodInfo info_;
  ServiceMethod method_;
  MethodStats stats_{options_.method};
  BoundMethod bound_;
  CallPool pool_{nullptr};
  InboundCall* call_ = nullptr;
  bool given_ = false;  // to a Responder or a stream, which will answer
  mutable Mutex mu_;
  mutable CondVar answered_;
  std::optional<absl::Status> answer_ WEFT_GUARDED_BY(mu_);
};

TestCall::TestCall(TestCallOptions options)
    : connection_(std::make_shared<Connection>(std::move(options))) {
  connection_->Open(connection_);
}

TestCall::~TestCall() { connection_->Close(); }

InboundCall& TestCall::call() const { return connection_->call(); }
InboundCall& TestCall::TakeAnswer() { return connection_->TakeAnswer(); }

void TestCall::Cancel() { call().MarkCancelled(); }

bool TestCall::answered() const { return connection_->answer().has_value(); }
absl::Status TestCall::status() const { return connection_->answer().value_or(absl::OkStatus()); }
void TestCall::WaitForAnswer() const { connection_->WaitForAnswer(); }

const Metadata& TestCall::trailers() const { return call().trailers(); }
const Metadata& TestCall::initial_metadata() const { return call().initial_metadata().pairs; }
bool TestCall::sent_initial_metadata() const { return call().initial_metadata().sent; }
const absl::Cord& TestCall::reply_attachment() const { return call().reply_attachment(); }
Compression TestCall::compression() const { return call().reply_codec; }

}  // namespace weft
