#include "weft/rpc/call/stream_sides.h"

#include "weft/core/callback_queue.h"
#include "weft/rpc/call/blocking_wait.h"

namespace weft::internal {
namespace {

constexpr char kWhat[] = "a stream's callback";

// Calls `done`, by the rule of core/callback_queue.h.
void Tell(StreamPort& port, bool result, StreamCallback done) {
  if (port.executor() != nullptr) {
    CallbackQueue::Execute(*port.executor(), kWhat,
                           [done = std::move(done), result]() mutable { std::move(done)(result); });
  } else if (CallbackQueue* const queue = CallbackQueue::FreeAt(port.loop())) {
    const CallbackQueue::Scope scope(queue);
    GuardedCall(kWhat, [&] { std::move(done)(result); });
    done = nullptr;  // captured objects are destroyed inside the scope, too
  } else {
    CallbackQueue::Later(port.loop(), kWhat, std::move(done), result);
  }
}

}  // namespace

bool ReadHere(StreamPort& port, google::protobuf::MessageLite* out, absl::Cord* attachment) {
  BlockingWait wait(port, StreamPort::For::kMessages);
  for (;;) {
    const StreamRead read = port.TryRead(out, attachment);
    if (read != StreamRead::kNothingYet) return read == StreamRead::kMessage;
    if (!wait.Wait()) return false;
  }
}

bool WriteHere(StreamPort& port, const google::protobuf::MessageLite& message,
               const absl::Cord* attachment) {
  BlockingWait wait(port, StreamPort::For::kRoom);
  for (;;) {
    const StreamSent sent = port.TryWrite(message, /*last=*/false, attachment);
    if (sent != StreamSent::kBlocked) return sent == StreamSent::kSent;
    if (!wait.Wait()) return false;
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
    // Wait may refuse, because a message has come meanwhile. Then the callback is taken back and
    // the read is tried again: a loop, so that many messages need no deeper stack.
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
  if (port.beginning() == StreamInbox::Beginning::kUnknown &&
      !BlockingWait(port, StreamPort::For::kInitialMetadata).Wait()) {
    return false;
  }
  return port.beginning() == StreamInbox::Beginning::kThere;
}

void InitialMetadataLater(std::shared_ptr<StreamPort> port, StreamCallback done) {
  auto shared = std::make_shared<StreamCallback>(std::move(done));
  const auto tell = [port, shared] {
    Tell(*port, port->beginning() == StreamInbox::Beginning::kThere, std::move(*shared));
  };
  const bool known = port->beginning() != StreamInbox::Beginning::kUnknown;
  // Wait refuses where it has become known meanwhile; nobody else calls then.
  if (known || !port->Wait(StreamPort::For::kInitialMetadata, tell)) tell();
}

void TellRoom(std::shared_ptr<StreamPort> port, absl::AnyInvocable<void() &&> ready) {
  StreamCallback done = [ready = std::move(ready)](bool) mutable { std::move(ready)(); };
  if (port->HasRoom() || port->ended()) {
    Tell(*port, true, std::move(done));
    return;
  }
  auto shared = std::make_shared<StreamCallback>(std::move(done));
  const auto tell = [port = port.get(), shared] { Tell(*port, true, std::move(*shared)); };
  if (!port->Wait(StreamPort::For::kRoom, tell)) tell();
}

}  // namespace weft::internal
