#include "weft/core/in_process_transport.h"

#include "weft/core/in_process_watch.h"

namespace weft::internal {

absl::StatusOr<std::unique_ptr<Watch>> InProcessTransport::NewWatch(EventLoop& loop,
                                                                    WatchEvents* events) {
  return std::make_unique<InProcessWatch>(loop, link_, side_, events);
}

}  // namespace weft::internal
