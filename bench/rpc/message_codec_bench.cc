// A message on its way to the wire: small ones straight into place, large ones as pieces, with
// their bytes copied or by reference.

#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <google/protobuf/wrappers.pb.h>

#include "weft/rpc/base/message_codec.h"

namespace weft {

using namespace internal;

namespace {

google::protobuf::BytesValue MessageOf(int64_t size) {
  google::protobuf::BytesValue message;
  message.set_value(std::string(static_cast<size_t>(size), 'x'));
  return message;
}

void BM_WriteInPlace(benchmark::State& state) {
  const google::protobuf::BytesValue message = MessageOf(state.range(0));
  std::vector<char> out(MessageCodec::ByteSize(message));
  for (auto _ : state) {
    // With the size, as each send: WriteTo relies on it.
    benchmark::DoNotOptimize(MessageCodec::ByteSize(message));
    benchmark::DoNotOptimize(MessageCodec::WriteTo(message, out.data()));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_WriteInPlace)->Arg(16)->Arg(4'096);

void Pieces(benchmark::State& state, bool share) {
  const google::protobuf::BytesValue message = MessageOf(state.range(0));
  for (auto _ : state) {
    const size_t size = MessageCodec::ByteSize(message);
    std::vector<MessagePiece> pieces;
    benchmark::DoNotOptimize(MessageCodec::Pieces(message, size, share, &pieces));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_PiecesCopied(benchmark::State& state) { Pieces(state, false); }
BENCHMARK(BM_PiecesCopied)->Arg(64 << 10)->Arg(1 << 20);

void BM_PiecesShared(benchmark::State& state) { Pieces(state, true); }
BENCHMARK(BM_PiecesShared)->Arg(64 << 10)->Arg(1 << 20);

void BM_Parse(benchmark::State& state) {
  const std::string bytes = MessageOf(state.range(0)).SerializeAsString();
  google::protobuf::BytesValue message;  // its memory is used again, as a worker's is
  for (auto _ : state) {
    benchmark::DoNotOptimize(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Parse)->Arg(16)->Arg(4'096)->Arg(1 << 20);

}  // namespace
}  // namespace weft
