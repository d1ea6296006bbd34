#include "weft/rpc/call/stream_sides.h"

namespace weft::call_internal {
namespace {

void Tell(StreamPort& port, bool result, StreamCallback done) {
  if (port.executor() == nullptr) {
    std::move(done)(result);
    return;
  }
  port.executor()->Execute([done = std::move(done), result]() mutable { std::move(done)(result); });
}

}  // namespace

bool ReadHere(StreamPort& port, google::protobuf::MessageLite* out, absl::Cord* attachment) {
  for (;;) {
    const StreamRead read = port.TryRead(out, attachment);
    if (read != StreamRead::kNothingYet) return read == StreamRead::kMessage;
    if (!port.WaitHere(StreamPort::For::kMessages)) return false;
  }
}

bool WriteHere(StreamPort& port, const google::protobuf::MessageLite& message,
               const absl::Cord* attachment) {
  for (;;) {
    const StreamSent sent = port.TryWrite(message, /*last=*/false, attachment);
    if (sent != StreamSent::kBlocked) return sent == StreamSent::kSent;
    if (!port.WaitHere(StreamPort::For::kRoom)) return false;
  }
}

void ReadLater(std::shared_ptr<StreamPort> port, google::protobuf::MessageLite* out,
               absl::Cord* attachment, StreamCallback done) {
  for (;;) {
    const StreamRead read = port->TryRead(out, attachment);
    if (read != StreamRead::kNothingYet) {
      Tell(*port, read == StreamRead::kMessage, std::move(done));
      return;
    }
    auto shared = std::make_shared<StreamCallback>(std::move(done));
    if (port->Wait(StreamPort::For::kMessages, [port, out, attachment, shared] {
          ReadLater(port, out, attachment, std::move(*shared));
        })) {
      return;
    }
    done = std::move(*shared);
  }
}

bool InitialMetadataHere(StreamPort& port) {
  if (!port.begun() && !port.WaitHere(StreamPort::For::kInitialMetadata)) return false;
  return port.has_initial_metadata();
}

void InitialMetadataLater(std::shared_ptr<StreamPort> port, StreamCallback done) {
  auto shared = std::make_shared<StreamCallback>(std::move(done));
  const auto tell = [port, shared] {
    Tell(*port, port->has_initial_metadata(), std::move(*shared));
  };
  if (port->begun() || !port->Wait(StreamPort::For::kInitialMetadata, tell)) tell();
}

void TellRoom(StreamPort& port, absl::AnyInvocable<void() &&> ready) {
  if (port.HasRoom() || port.ended()) {
    Tell(port, true, [ready = std::move(ready)](bool) mutable { std::move(ready)(); });
    return;
  }
  auto shared = std::make_shared<absl::AnyInvocable<void() &&>>(std::move(ready));
  Executor* const executor = port.executor();
  const auto go = [shared, executor]() {
    if (executor == nullptr) {
      std::move (*shared)();
    } else {
      executor->Execute([shared] { std::move (*shared)(); });
    }
  };
  if (!port.Wait(StreamPort::For::kRoom, go)) go();
}

}  // namespace weft::call_internal
