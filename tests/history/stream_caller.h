// One streaming call as its caller makes it, in three styles; counts and compares what it sends and
// gets.
//
//   kNothing    writes everything, reads to the end, finishes
//   kCancel     cancels behind `midway` messages, and goes on as if nothing had happened
//   kDrop       destroys what it holds behind `midway` messages
//   kFinish     finishes behind `midway` messages without reading the others
//
// Threads  the caller's; in callback and coroutine style also the I/O thread
// Owns     what it writes and reads
// Ends     with one StreamOutcome
#ifndef WEFT_TESTS_HISTORY_STREAM_CALLER_H_
#define WEFT_TESTS_HISTORY_STREAM_CALLER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "tests/history/call_history.h"
#include "tests/history/stream_script.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/coro.h"
#include "weft/rpc/call/client_context.h"

namespace weft::test {

struct StreamOutcome {
  absl::Status status;
  StreamTally tally;
  bool matches = true;   // as much came back as the script says
  bool dropped = false;  // nobody waited for the end
};

class StreamCaller : public std::enable_shared_from_this<StreamCaller> {
 public:
  enum class Kind : uint8_t { kAdd, kList, kTalk };
  enum class Midway : uint8_t { kNothing, kCancel, kDrop, kFinish };
  using Done = std::function<void(StreamOutcome)>;

  struct Wishes {
    Kind kind = Kind::kAdd;
    StreamScript script;
    Midway at_midway = Midway::kNothing;
    int64_t midway = 0;
    bool slow = false;     // where it may block
    bool in_turn = false;  // where both stream: writes one, reads one, as kDrop always does
  };

  // `options.context` outlives the call; the script goes into its metadata.
  StreamCaller(const Rows::Stub& stub, const Wishes& wishes, const CallOptions& options);

  StreamOutcome Block();
  // `done` once, from any thread.
  void BeginCallbacks(Done done);
  void BeginCoroutines(Done done);
  // Where both sides stream: in turn only.
  Coro<StreamOutcome> Await();

 private:
  using Stream = ClientStream<Row, Row>;

  StreamOutcome BlockOnAdd();
  StreamOutcome BlockOnList();
  StreamOutcome BlockOnTalk();
  StreamOutcome TalkInTurn();

  void WriteAdding();
  void ReadListed();
  void WriteTalk();
  void ReadTalk();
  void TalkNext();
  void PartDone();
  Coro<StreamOutcome> AwaitAdd();
  Coro<StreamOutcome> AwaitList();
  Coro<StreamOutcome> AwaitTalk();
  Coro<int> CoTell(Coro<StreamOutcome> call);
  Coro<int> CoWriteTalk();
  Coro<int> CoReadTalk();

  bool AtMidway(int64_t count, Midway what) const {
    return wishes_.at_midway == what && count == wishes_.midway;
  }
  bool in_turn() const { return wishes_.in_turn || wishes_.at_midway == Midway::kDrop; }
  bool TakeReply(int64_t expected_index);
  StreamOutcome Dropped();
  StreamOutcome Ended(absl::Status status);
  StreamOutcome EndedWithSum(const absl::StatusOr<RowSum>& sum);

  Rows::Stub stub_;
  const Wishes wishes_;
  const StreamScript& script_;
  const CallOptions options_;
  StreamTally tally_;  // `sent` is the writer's, the rest the reader's
  Row in_, out_;
  Done done_;
  std::atomic<int> parts_{0};  // of a call in which both stream: not through yet
  std::optional<ClientWriter<Row, RowSum>> adding_;
  std::optional<ClientReader<Row>> list_;
  std::optional<Stream> talk_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_STREAM_CALLER_H_
