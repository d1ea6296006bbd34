// Bytes of the whole program that operator new has given out and not got back, as malloc rounds
// them: weft's own, and those of its libraries in C++. Memory of libevent and of malloc itself is
// not among them.
//
// For programs that are linked with bench/own_bytes.cc.
//
// Threads  OwnBytes: any; CountOwnBytes: main, before anything is made that is counted
#pragma once

#include <cstdint>

namespace weft::bench {

// From here on; before, allocations cost what they cost elsewhere.
void CountOwnBytes();
int64_t OwnBytes();

}  // namespace weft::bench
