// The settings of a service or a method that a server offers, beyond what the .proto says:
// Server::Register and Server::Configure take them.
//
//   server.Register(store, {.pool = "store"});
//   server.Configure(Store::kPut, {.key = [](const weft::ServerContext& call) {
//     return std::string(call.metadata().Get("row").value_or(""));
//   }});
//
// Threads  value; key functions: any I/O thread of the server, several at once
// Errors   what a key function throws ends its call with UNKNOWN, not executed
#ifndef WEFT_RPC_METHOD_OPTIONS_H_
#define WEFT_RPC_METHOD_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "weft/rpc/call/server_context.h"

namespace weft {

// The key of a call, from its caller and its metadata. Runs on the I/O thread: it must not block.
using CallKey = std::function<std::string(const ServerContext& call)>;
// The key of a call, from the serialized request, too, without its attachment; made by KeyOf. A
// compressed request is inflated for this on the I/O thread, and not again for the handler.
using RequestKey = std::function<std::string(const ServerContext& call, std::string_view request)>;

// A key out of the request. It is parsed for this on the I/O thread, and for the handler again:
// for small messages; for large ones the caller says the key in the metadata.
//   {.request_key = weft::KeyOf<PutRequest>(
//        [](const weft::ServerContext&, const PutRequest& put) { return put.row(); })}
template <typename Request, typename Function>
RequestKey KeyOf(Function key) {
  return [key = std::move(key)](const ServerContext& call, std::string_view bytes) -> std::string {
    Request request;
    // A request that cannot be parsed is refused by the handler's side, whatever its key.
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return {};
    return key(call, request);
  };
}

struct ServiceOptions {
  // The worker pool of its handlers, by name; goes before what the .proto says. "default": the one
  // that all share. Empty: as the .proto says.
  std::string pool = "";
};

struct MethodOptions {
  // The worker pool of its handler, by name; goes before ServiceOptions::pool and the .proto.
  std::string pool = "";
  // Calls of one connection, or of one node over all its connections, one at a time, in the order
  // in which they came, each when the one before has been answered; as `option (weft.ordered) =
  // true`, but that callers do not know of it: a node's calls may overtake each other on their way.
  bool ordered = false;
  // Calls of one connection, or of one node, whose keys are equal run one at a time, in order;
  // others beside each other. The keys of all methods with the same pool are one space: methods
  // whose functions give equal keys wait for each other. Goes before `ordered`. Null: none.
  CallKey key = nullptr;
  // The key function for keys that stand in the request: see KeyOf.
  RequestKey request_key = nullptr;
  // The calls that may be under way in the server, waiting or served; more are refused with
  // RESOURCE_EXHAUSTED. 0: no limit.
  int64_t max_calls = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_METHOD_OPTIONS_H_
