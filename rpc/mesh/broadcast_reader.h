// A stream from every member of a group, read as one, each message with the peer that sent it.
//
//   weft::BroadcastReader<Change> changes = weft::BroadcastStream(node, Kv::kWatch, request);
//   weft::PeerItem<Change> one;
//   while (changes.Next(&one)) Apply(one.peer, one.message);
//   weft::BroadcastStreamResult end = changes.Finish();
//
// Messages of one peer come in their order. Messages of several peers come as they arrive; when
// many peers have one waiting, they take turns. A peer whose messages nobody reads is held back by
// its stream's window. The want counts ended streams, OK or not. When the outcome is certain the
// other streams are cancelled, unless they are to be let run.
//
// Destroyed before its end it cancels its streams.
//
// Threads  one reader at a time, any thread; Cancel: any. Next and Finish wait: not under a lock
//          that a callback takes, and not on an I/O thread, where they are refused
// Owns     its share of the round
// Errors   Finish says how the streams have ended
// Ends     Finish, once
#ifndef WEFT_RPC_MESH_BROADCAST_READER_H_
#define WEFT_RPC_MESH_BROADCAST_READER_H_

#include <memory>
#include <utility>

#include "weft/rpc/mesh/one_by_one.h"
#include "weft/rpc/mesh/stream_round.h"

namespace weft {

template <typename Reply>
class [[nodiscard]] BroadcastReader
    : public internal::OneByOne<internal::StreamRound<Reply>, PeerItem<Reply>> {
 public:
  using Round = internal::StreamRound<Reply>;

  explicit BroadcastReader(std::shared_ptr<Round> round)
      : internal::OneByOne<Round, PeerItem<Reply>>(std::move(round)) {}
  BroadcastReader(BroadcastReader&&) noexcept = default;
  BroadcastReader& operator=(BroadcastReader&&) noexcept = default;
  ~BroadcastReader() {
    if (this->round() != nullptr) (void)this->round()->Abandon();
  }

  // Waits for the outcome; messages that were not read are dropped. On an I/O thread it does not
  // wait: streams whose outcome is not certain are cancelled there.
  BroadcastStreamResult Finish() {
    const std::shared_ptr<Round> round = this->TakeRound();
    absl::Status refused = this->AwaitOutcome(*round);
    BroadcastStreamResult result = round->Abandon();
    if (!refused.ok()) result.status = std::move(refused);
    return result;
  }
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_BROADCAST_READER_H_
