// Limits on compressed messages, checked before they are inflated.
//
// Threads  value
#ifndef WEFT_RPC_BASE_INFLATE_OPTIONS_H_
#define WEFT_RPC_BASE_INFLATE_OPTIONS_H_

#include <cstddef>

#include "weft/core/requirements.h"

namespace weft {

struct InflateOptions {
  // The codecs that this side accepts. The peer is told, and sends its messages uncompressed
  // instead. A peer that compresses with a refused codec nevertheless gets UNIMPLEMENTED.
  bool gzip = true;
  bool zstd = true;
  // The largest ratio of inflated to compressed size. A denser message is refused with
  // RESOURCE_EXHAUSTED before anything is inflated. 0: as dense as its codec can get, 1,032 with
  // gzip and 32,769 with zstd.
  size_t max_ratio = 1000;
  // Messages that inflate to at most this many bytes are exempt from max_ratio: zeros compress
  // well.
  size_t min_ratio_bytes = size_t{1} << 20;
  // Bytes of messages that are being inflated and parsed at once, on all connections of the server,
  // or of the channel; a message beyond them is refused with RESOURCE_EXHAUSTED. 0: no limit.
  size_t max_inflating_bytes = size_t{256} << 20;
};

}  // namespace weft

#endif  // WEFT_RPC_BASE_INFLATE_OPTIONS_H_
