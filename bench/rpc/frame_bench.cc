// A frame written into a connection's output, and one read: what each call pays four times.

#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/core/sink_transport.h"
#include "weft/core/output_queue.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/frame_writer.h"
#include "weft/rpc/protocol/native/handshake.h"

namespace weft::internal::native {
namespace {

// So many frames leave in one write.
constexpr int kGathered = 32;

template <typename Write>
void WriteFrames(benchmark::State& state, Write&& write) {
  OutputQueue queue(std::make_unique<bench::SinkTransport>());
  int in_queue = 0;
  for (auto _ : state) {
    bool flush = false;
    {
      MutexLock lock(queue.mutex());
      FrameWriter writer(queue, size_t{64} << 10);
      write(writer);
      // Emptied now and then: a queue that only grows would show what blocks cost.
      if (++in_queue == kGathered) flush = queue.Claim();
    }
    if (flush) {
      queue.Flush();
      in_queue = 0;
    }
  }
  state.SetItemsProcessed(state.iterations());
}

OutMessage BytesOf(const std::string& bytes) {
  OutMessage out;
  out.bytes = bytes;
  out.size = bytes.size();
  return out;
}

void BM_WriteRequest(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  const OutMessage message = BytesOf(bytes);
  RequestHead head;
  head.method = 1;
  head.timeout_us = 1'000'000;
  WriteFrames(state, [&](FrameWriter& writer) {
    ++head.id;
    writer.Request(head, message);
  });
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
// All of them fit into one frame, and are written in place.
BENCHMARK(BM_WriteRequest)->Arg(16)->Arg(256)->Arg(4'096);

void BM_WriteRequestWithMetadata(benchmark::State& state) {
  const std::string bytes(16, 'x');
  const OutMessage message = BytesOf(bytes);
  Metadata metadata;
  (void)metadata.Add("tenant", "blue");
  (void)metadata.Add("trace-bin", std::string(26, '\1'));
  RequestHead head;
  head.method = 1;
  head.metadata = &metadata;
  WriteFrames(state, [&](FrameWriter& writer) {
    ++head.id;
    writer.Request(head, message);
  });
}
BENCHMARK(BM_WriteRequestWithMetadata);

void BM_WriteResponse(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  const OutMessage message = BytesOf(bytes);
  ResponseHead head;
  WriteFrames(state, [&](FrameWriter& writer) {
    ++head.id;
    writer.Response(head, message);
  });
}
BENCHMARK(BM_WriteResponse)->Arg(16)->Arg(4'096);

// Writes the first frames alone, which refer to the message's block: FragmentQueue would send the
// rest. The bytes are those of the message that the first frames have: none where much output waits
// already.
void BM_WriteMessageInPieces(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  const BlockRef block = BlockRef::New(size);
  ResponseHead head;
  size_t written = 0;
  WriteFrames(state, [&](FrameWriter& writer) {
    std::vector<MessagePiece> pieces;
    pieces.push_back({block, block->data(), size});
    OutMessage message;
    message.pieces = &pieces;
    message.size = size;
    ++head.id;
    written += size - writer.Response(head, message).left;
  });
  state.SetBytesProcessed(static_cast<int64_t>(written));
}
BENCHMARK(BM_WriteMessageInPieces)->Arg(1 << 20);

void BM_WriteError(benchmark::State& state) {
  const absl::Status status = absl::NotFoundError("no such cat");
  ResponseHead head;
  WriteFrames(state, [&](FrameWriter& writer) {
    ++head.id;
    writer.Error(head, status, false);
  });
}
BENCHMARK(BM_WriteError);

// Builds a connection's input: frames one behind the other.
std::string Frames(FrameType type, size_t count, const std::string& body) {
  std::string bytes;
  for (uint64_t id = 1; id <= count; ++id) {
    char header[kHeaderSize];
    WriteHeader(header, {static_cast<uint32_t>(body.size()), type, kEnd, 0, id});
    bytes.append(header, kHeaderSize);
    bytes.append(body);
  }
  return bytes;
}

void BM_ReadRequest(benchmark::State& state) {
  constexpr size_t kCount = 256;
  const std::string bytes = Frames(FrameType::kRequest, kCount,
                                   // 8: the timeout, which stands before the message.
                                   std::string(8 + static_cast<size_t>(state.range(0)), '\0'));
  for (auto _ : state) {
    for (size_t at = 0; at < bytes.size();) {
      const FrameHeader header = ReadHeader(bytes.data() + at);
      if (FrameReader::CheckHeader(header, size_t{64} << 10) != FrameError::kNone) break;
      RequestFrame frame;
      benchmark::DoNotOptimize(FrameReader::ReadRequest(
          header, std::string_view(bytes).substr(at + kHeaderSize, header.length), &frame));
      benchmark::DoNotOptimize(frame);
      at += kHeaderSize + header.length;
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kCount));
}
BENCHMARK(BM_ReadRequest)->Arg(16);

void BM_ReadResponse(benchmark::State& state) {
  constexpr size_t kCount = 256;
  // 4: the handler's time, which stands before the message.
  const std::string bytes = Frames(FrameType::kResponse, kCount, std::string(4 + 16, '\0'));
  for (auto _ : state) {
    for (size_t at = 0; at < bytes.size();) {
      const FrameHeader header = ReadHeader(bytes.data() + at);
      if (FrameReader::CheckHeader(header, size_t{64} << 10) != FrameError::kNone) break;
      ResponseFrame frame;
      benchmark::DoNotOptimize(FrameReader::ReadResponse(
          header, std::string_view(bytes).substr(at + kHeaderSize, header.length), &frame));
      benchmark::DoNotOptimize(frame);
      at += kHeaderSize + header.length;
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kCount));
}
BENCHMARK(BM_ReadResponse);

void BM_Handshake(benchmark::State& state) {
  const SessionLimits limits;
  for (auto _ : state) {
    const std::string hello = Handshake::MakeHello(limits, {.token = "a token"});
    benchmark::DoNotOptimize(Handshake::ReadHello(hello, limits));
  }
}
BENCHMARK(BM_Handshake);

}  // namespace
}  // namespace weft::internal::native
