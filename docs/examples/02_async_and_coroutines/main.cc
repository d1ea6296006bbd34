#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <latch>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_join.h"
#include "weft/core/block_on.h"
#include "weft/core/runtime.h"
#include "weft/core/when_all.h"
#include "weft/rpc/call/sleep.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"
#include "words.weft.h"

class Words final : public words::Words::Service {
 public:
  absl::Status Length(weft::ServerContext&, words::LengthRequest& request,
                      words::LengthReply& reply) override {
    reply.set_length(static_cast<int32_t>(request.word().size()));
    return absl::OkStatus();
  }

  absl::Status Join(weft::ServerContext&, words::JoinRequest& request,
                    words::JoinReply& reply) override {
    reply.set_text(absl::StrJoin(request.words(), " "));
    return absl::OkStatus();
  }
};

// The lengths of all words at once: no call waits for another one.
std::vector<int> Lengths(words::Words::Stub stub, const std::vector<std::string>& words) {
  // Each callback writes an element of its own, and the latch orders the writes before the return:
  // no mutex is needed. -1 stays where a call has failed.
  std::vector<int> lengths(words.size(), -1);
  // The callbacks refer to this function's variables, so it must not return before the last one.
  std::latch left(static_cast<std::ptrdiff_t>(words.size()));
  for (size_t i = 0; i < words.size(); ++i) {
    words::LengthRequest request;
    request.set_word(words[i]);
    // LengthAsync has serialized the request when it returns, so the request may end with this
    // turn. The callback runs on the channel's I/O thread, where blocking would stop all its calls.
    // It counts last: after that Lengths may return, and `lengths` is gone.
    stub.LengthAsync(request, {.timeout = absl::Seconds(1)},
                     [&lengths, &left, i](absl::StatusOr<words::LengthReply> reply) {
                       if (reply.ok()) lengths[i] = reply->length();
                       left.count_down();
                     });
  }
  left.wait();
  return lengths;
}

// Two calls, the second made of the first one's result, written as if they waited. The parameters
// are values: they live in the coroutine's frame, while a reference could dangle behind a co_await.
weft::Coro<absl::StatusOr<std::string>> Describe(words::Words::Stub stub, std::string word) {
  words::LengthRequest measure;
  measure.set_word(word);
  // Holds no thread while it waits. Without a timeout of its own the call has the channel's.
  absl::StatusOr<words::LengthReply> length = co_await stub.LengthCoro(measure);
  if (!length.ok()) co_return length.status();

  words::JoinRequest join;
  join.add_words(std::move(word));
  join.add_words("has");
  join.add_words(std::to_string(length->length()));
  join.add_words("letters");
  absl::StatusOr<words::JoinReply> joined =
      co_await stub.JoinCoro(join, {.timeout = absl::Seconds(1)});
  if (!joined.ok()) co_return joined.status();
  co_return joined->text();
}

// All words at once; the descriptions come in the order of the words.
weft::Coro<std::vector<absl::StatusOr<std::string>>> DescribeAll(words::Words::Stub stub,
                                                                 std::vector<std::string> words) {
  std::vector<weft::Coro<absl::StatusOr<std::string>>> all;
  // A Coro does nothing before it is awaited: WhenAll starts all of them.
  for (std::string& word : words) all.push_back(Describe(stub, std::move(word)));
  co_return co_await weft::WhenAll(std::move(all));
}

// One word after the other, with a pause behind each. The reference to the runtime is safe: main
// owns the runtime, and waits for this coroutine.
weft::Coro<absl::Status> Dictate(weft::Runtime& runtime, words::Words::Stub stub,
                                 std::vector<std::string> words) {
  for (const std::string& word : words) {
    absl::StatusOr<std::string> text = co_await Describe(stub, word);
    if (!text.ok()) co_return text.status();
    std::printf("%s\n", text->c_str());
    // absl::SleepFor would hold the thread. This sleep ends early, with an error, when the runtime
    // stops.
    absl::Status paused = co_await weft::Sleep(runtime, absl::Milliseconds(10));
    if (!paused.ok()) co_return paused;
  }
  co_return absl::OkStatus();
}

std::future<std::string> DescribeLater(words::Words::Stub stub, std::string word) {
  // Shared with the callback: the coroutine ends long after this function has returned.
  auto ended = std::make_shared<std::promise<std::string>>();
  std::future<std::string> text = ended->get_future();
  weft::Spawn(Describe(stub, std::move(word)),
              [ended](std::optional<absl::StatusOr<std::string>> result, std::exception_ptr) {
                // Without a value the coroutine threw; the second argument has the exception.
                ended->set_value(result.has_value() && result->ok() ? **result : "an error");
              });
  return text;
}

int main() {
  // Server and channel share it, or each would start threads of its own.
  auto runtime = weft::Runtime::Create({.io_threads = 1, .worker_threads = 2});
  if (!runtime.ok()) return 1;
  Words service;
  weft::Server server({.runtime = *runtime});
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  auto channel =
      weft::Channel::Create("127.0.0.1:" + std::to_string(server.port()), {.runtime = *runtime});
  if (!status.ok() || !channel.ok()) return 1;
  words::Words::Stub stub(**channel);

  const std::vector<int> lengths = Lengths(stub, {"warp", "and", "weft"});
  std::printf("%d letters in three calls\n", std::accumulate(lengths.begin(), lengths.end(), 0));

  // Runs beside the next lines: its result is asked for only after theirs.
  std::future<std::string> later = DescribeLater(stub, "shuttle");
  auto all = weft::BlockOn(DescribeAll(stub, {"heddle", "reed"}));
  // BlockOn's own error: it was called on a thread that must not wait. Each word has its status.
  if (!all.ok()) return 1;
  for (const auto& text : *all) std::printf("%s\n", text.ok() ? text->c_str() : "an error");
  std::printf("%s\n", later.get().c_str());
  status = weft::BlockOn(Dictate(**runtime, stub, {"loom", "bobbin"}));
  std::printf("dictated: %s\n", status.ToString().c_str());
  return 0;
}
