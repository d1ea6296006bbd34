// A handler's view of the call it answers.
//
// Threads  the handler's, one at a time; cancelled(): any
// Ends     valid until the call is answered
#ifndef WEFT_RPC_CALL_SERVER_CONTEXT_H_
#define WEFT_RPC_CALL_SERVER_CONTEXT_H_

#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/metadata.h"

namespace weft {

class CallTarget;
namespace internal {
class InboundCall;
}  // namespace internal

class ServerContext {
 public:
  explicit ServerContext(internal::InboundCall& call) : call_(call) {}
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // "demo.Greeter/Say".
  std::string_view method() const;
  // The caller's address.
  const std::string& peer() const;
  // The caller's identity, as the server's authenticator said: of this call where it is asked for
  // each (ServerOptions::authenticate_calls), else of the connection. Without an authenticator, the
  // first name that the transport has verified; empty where it has verified none.
  const std::string& identity() const;
  // The node that made this call, as it is called in its cluster; empty: it came from no node. On a
  // node's server (weft::Node) it is the one that it says it is; elsewhere a claim.
  std::string node() const;
  // The target for calls to the caller, over the same connection: `Stub stub(*call.caller());`.
  // Callers offer services by ChannelOptions::services. The target may be kept beyond the call;
  // when the connection has ended its calls end with UNAVAILABLE. If the caller is a peer of this
  // node, the target is that peer, over any of its connections. Calls start as ServerOptions::calls
  // says; in a handler of a channel's services, as the channel's options do. Null: the caller's
  // protocol takes no calls.
  std::shared_ptr<CallTarget> caller() const;
  // The metadata of the request. Parsed at the first use; damaged metadata refuses the call before
  // its handler.
  const Metadata& metadata() const;
  // Reaches the caller before everything else: with SendInitialMetadata, else before the first
  // message of the stream, else with the answer, whatever its status. Metadata added after that is
  // not sent. More than max_metadata_bytes: the call ends with RESOURCE_EXHAUSTED. To a client
  // whose protocol does not have it, it goes in front of the trailers.
  Metadata& initial_metadata();
  // Sends it now, even where it is empty: the caller learns that its call is being served. Not
  // while another thread writes to the call's stream. False, and nothing is sent: it has been sent,
  // or a message has; it is too large; the client does not have it; the connection has ended.
  bool SendInitialMetadata();
  // Sent with the reply.
  Metadata& trailers();
  // Goes with an error: clients that would try the call again (RetryPolicy, HedgingPolicy) do so
  // after this long, at most 11 days; a negative one: not at all. Once a call.
  void RetryAfter(absl::Duration delay);

  // Raw bytes that came beside the request, in the memory into which they were read. Valid from the
  // handler's start on; empty where none came.
  const absl::Cord& attachment() const;
  // Sent beside the reply from where they are, with an OK status. Not with methods whose server
  // streams.
  absl::Cord& reply_attachment();
  // Sets the codec of the reply, or of the stream's messages from now on; see
  // ServerOptions::compression.
  void set_compression(Compression codec);

  // When the caller stops waiting; infinite when it gave no timeout.
  absl::Time deadline() const;
  // The time until the deadline, at least zero.
  absl::Duration time_left() const;
  // True once the caller has cancelled, its connection is lost or the deadline has passed: the
  // answer is for nobody.
  WEFT_ANY_THREAD bool cancelled() const;
  // A token for the same: stopped when the caller cancels, its connection is lost or the deadline
  // passes. Callbacks (std::stop_callback) run on the I/O thread, never inside a call of weft's,
  // and must not block. One made for a token that is stopped already runs inside its own
  // constructor, and one that throws ends the process: that is std::stop_callback's doing. Calls
  // that the handler makes, on any channel, are cancelled with it and end by its deadline without
  // this.
  std::stop_token stop_token();

 private:
  internal::InboundCall& call_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_SERVER_CONTEXT_H_
