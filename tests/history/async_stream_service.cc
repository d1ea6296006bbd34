#include "tests/history/async_stream_service.h"

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "tests/history/call_back.h"
#include "tests/history/history_services.h"
#include "tests/history/stream_services.h"

namespace weft::test {
namespace {

// One call in the hands of a handler that has returned: the callbacks keep it, until the last of
// them has answered.
template <typename Stream>
class Serving : public std::enable_shared_from_this<Serving<Stream>> {
 public:
  Serving(HistorySink& history, ServerContext& call, Stream stream)
      : run_(history, call, CallStyle::kCallback), stream_(std::move(stream)) {}

  StreamExecution& run() { return run_; }
  Stream& stream() { return stream_; }

  // Calls `then` behind `most` more replies, or behind all that there are to write, and tells it
  // whether the stream is still open.
  void Write(bool (StreamExecution::*more)() const, int64_t most, std::function<void(bool)> then) {
    for (; most > 0 && (run_.*more)(); --most) {
      if (stream_.TryWrite(run_.out())) {
        (void)run_.OnWritten(true);
      } else if (stream_.ended()) {
        (void)run_.OnWritten(false);
        return then(false);
      } else {
        return stream_.OnReady(
            [self = this->shared_from_this(), more, most, then] { self->Write(more, most, then); });
      }
    }
    then(true);
  }
  // Calls `each` behind every message, with the function that goes on reading, and `then` when
  // there are no more.
  using Next = std::function<void()>;
  void Read(std::function<void(Next)> each, std::function<void()> then) {
    if (!run_.wants_more()) return then();
    stream_.ReadAsync(&run_.in(), [self = this->shared_from_this(), each, then](bool more) {
      if (!self->run_.OnRead(more)) return then();
      each([self, each, then] { self->Read(each, then); });
    });
  }
  void End() { stream_.Finish(run_.End()); }

 private:
  StreamExecution run_;
  Stream stream_;
};

constexpr int64_t kAll = INT64_MAX;

using Talking = Serving<AsyncServerStream<Row, Row>>;

void WriteAll(const std::shared_ptr<Talking>& talk, std::function<void(bool)> then) {
  talk->Write(&StreamExecution::talks_more, kAll, std::move(then));
}

void ReadAll(const std::shared_ptr<Talking>& talk, std::function<void()> then) {
  talk->Read([](const Talking::Next& next) { next(); }, std::move(then));
}

void TalkInOrder(const std::shared_ptr<Talking>& talk) {
  const auto end = [talk] { talk->End(); };
  switch (talk->run().script().order) {
    case StreamScript::Order::kInTurn: {
      const auto reply = [talk, end](const Talking::Next& next) {
        talk->Write(&StreamExecution::talks_more, 1,
                    [next, end](bool open) { open ? next() : end(); });
      };
      return talk->Read(reply, end);
    }
    case StreamScript::Order::kRepliesFirst:
      return WriteAll(talk, [talk, end](bool open) { open ? ReadAll(talk, end) : end(); });
    case StreamScript::Order::kRepliesLast:
      return ReadAll(talk, [talk, end] { WriteAll(talk, [end](bool) { end(); }); });
    case StreamScript::Order::kAtOnce: {
      const auto parts = std::make_shared<std::atomic<int>>(2);
      const auto through = [parts, end] {
        if (parts->fetch_sub(1) == 1) end();
      };
      WriteAll(talk, [through](bool) { through(); });
      return ReadAll(talk, through);
    }
  }
}

}  // namespace

void AsyncStreamService::Add(ServerContext& call, AsyncServerReader<Row, RowSum> rows) {
  using Adding = Serving<AsyncServerReader<Row, RowSum>>;
  const auto add = std::make_shared<Adding>(history_, call, std::move(rows));
  CallBackAsync(history_, call, add->run().back(), [add] {
    const auto each = [add](const Adding::Next& next) {
      AddToSum(add->run().in(), &add->stream().reply());
      next();
    };
    add->Read(each, [add] { add->End(); });
  });
}

void AsyncStreamService::List(ServerContext& call, RowQuery&, AsyncServerWriter<Row> rows) {
  const auto list =
      std::make_shared<Serving<AsyncServerWriter<Row>>>(history_, call, std::move(rows));
  CallBackAsync(history_, call, list->run().back(), [list] {
    list->Write(&StreamExecution::writes_more, kAll, [list](bool) { list->End(); });
  });
}

void AsyncStreamService::Talk(ServerContext& call, AsyncServerStream<Row, Row> stream) {
  const auto talk = std::make_shared<Talking>(history_, call, std::move(stream));
  CallBackAsync(history_, call, talk->run().back(), [talk] { TalkInOrder(talk); });
}

}  // namespace weft::test
