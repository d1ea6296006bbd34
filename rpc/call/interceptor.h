// Code of the user's around every call of a channel or of a server: it may refuse a call, add
// metadata or trailers, and measure. Calls of a server that a channel serves
// (ChannelOptions::services) have a server's interceptors, ChannelOptions::service_interceptors.
//
//   start (in the order of the list) ─► message, message … ─► end (in reverse), exactly once
//
//   class Audit : public weft::ServerInterceptor {
//     absl::StatusOr<std::unique_ptr<Call>> Start(const weft::ServerCallStart& start) override {
//       if (start.context.identity().empty()) return absl::PermissionDeniedError("who are you?");
//       return std::make_unique<Audited>();   // sees the rest of the call; nullptr: need not
//     }
//   };
//
// A call that is tried again is one call. An exception of an interceptor ends the call with
// UNKNOWN. Hooks must not block: they run where calls are started and ended, I/O threads among
// them.
//
// An interceptor is a part of the call, not a callback: it decides what is sent, so Start and
// OnMessage run inside the call that starts it, writes or reads, OnEnd of a server's inside the one
// that answers. A lock that a hook takes is therefore not to be held around such a call. A hook may
// make calls of its own; callbacks that it registers run when it has returned.
//
// Threads  Start: any, several calls at once. The hooks of one call: any thread, one at a time
// Owns     a Call belongs to its call: it goes after its OnEnd, or, where another interceptor
//          refuses the call, likewise
// Errors   of Start and OnMessage: the call ends with them
#ifndef WEFT_RPC_CALL_INTERCEPTOR_H_
#define WEFT_RPC_CALL_INTERCEPTOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "weft/rpc/base/metadata.h"

namespace weft {

class ServerContext;

enum class MessageDirection : uint8_t { kSent, kReceived };

// Counts the messages that this side has sent and received in a call, and their size in protobuf's
// encoding.
struct CallVolume {
  size_t sent_messages = 0;
  size_t sent_bytes = 0;
  size_t received_messages = 0;
  size_t received_bytes = 0;
};

// ---- on the client

struct ClientCallStart {
  std::string_view method;  // "demo.Greeter/Say"
  std::string_view target;  // the channel's
  absl::Duration timeout;   // of the call, from now; infinite without one
  Metadata& metadata;       // goes with the request; the caller does not see additions
};

struct ClientCallEnd {
  absl::Status status;
  const Metadata& trailers;
  absl::Duration elapsed;       // since the call was started
  absl::Duration handler_time;  // as the server says; zero when it did not answer
  bool may_have_been_executed;
  CallVolume volume;
};

class ClientInterceptor {
 public:
  class Call {
   public:
    virtual ~Call() = default;
    // A message goes to the server, or has come from it.
    virtual absl::Status OnMessage(MessageDirection, size_t /*bytes*/) { return absl::OkStatus(); }
    virtual void OnEnd(const ClientCallEnd&) {}
  };

  virtual ~ClientInterceptor() = default;
  // Before the call leaves. An error: it does not, and ends with it.
  virtual absl::StatusOr<std::unique_ptr<Call>> Start(const ClientCallStart& start) = 0;
};

// ---- on the server, or wherever calls are served

struct ServerCallStart {
  // Method, peer, identity, deadline, initial metadata, trailers; valid until the end.
  ServerContext& context;
  Metadata& metadata;  // as the handler will see it
};

struct ServerCallEnd {
  absl::Status status;
  Metadata& trailers;           // go with the reply
  absl::Duration elapsed;       // since the request was there, the wait for a worker included
  absl::Duration handler_time;  // since the start hooks were done
  CallVolume volume;
};

class ServerInterceptor {
 public:
  class Call {
   public:
    virtual ~Call() = default;
    // A message has come from the client, or goes to it.
    virtual absl::Status OnMessage(MessageDirection, size_t /*bytes*/) { return absl::OkStatus(); }
    // Just before the answer leaves.
    virtual void OnEnd(const ServerCallEnd&) {}
  };

  virtual ~ServerInterceptor() = default;
  // Before the handler, where it will run. An error: the call has not been executed, and the client
  // is told so.
  virtual absl::StatusOr<std::unique_ptr<Call>> Start(const ServerCallStart& start) = 0;
};

using ClientInterceptors = std::vector<std::shared_ptr<ClientInterceptor>>;
using ServerInterceptors = std::vector<std::shared_ptr<ServerInterceptor>>;

}  // namespace weft

#endif  // WEFT_RPC_CALL_INTERCEPTOR_H_
