// What is taken of compressed messages, before they are made large again.
//
// Threads  value
#ifndef WEFT_RPC_BASE_INFLATE_OPTIONS_H_
#define WEFT_RPC_BASE_INFLATE_OPTIONS_H_

#include <cstddef>

namespace weft {

struct InflateOptions {
  // The codecs that are taken. The peer is told, and sends its messages as they are instead; one
  // that does not hold to it gets UNIMPLEMENTED.
  bool gzip = true;
  bool zstd = true;
  // How many times its compressed size a message may come to; a denser one is refused with
  // RESOURCE_EXHAUSTED, before anything is inflated. 0: as many as its codec can, 1,032 with gzip
  // and 32,769 with zstd.
  size_t max_ratio = 1000;
  // Messages that come to at most so many bytes are not held to max_ratio: zeros compress well.
  size_t min_ratio_bytes = size_t{1} << 20;
  // Bytes of messages that are being inflated and parsed at once, on all connections of the server,
  // or of the channel; a message beyond them is refused with RESOURCE_EXHAUSTED. 0: no limit.
  size_t max_inflating_bytes = size_t{256} << 20;
};

}  // namespace weft

#endif  // WEFT_RPC_BASE_INFLATE_OPTIONS_H_
