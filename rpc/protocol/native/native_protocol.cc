#include "weft/rpc/protocol/native/native_protocol.h"

#include <algorithm>
#include <utility>

#include "weft/rpc/protocol/native/frame_format.h"
#include "weft/rpc/protocol/native/native_session.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft::internal::native {
namespace {

std::unique_ptr<Session> Make(SessionSeed seed, const SessionContext& context, bool dialer) {
  NativeSessionOptions options;
  options.dialer = dialer;
  options.own = std::move(seed.own);
  options.compression = context.config->compression;
  options.limits = context.config->limits;
  options.gate = context.config->gate;
  // The rest: the transport's handshake and the look at the first bytes have used some of it.
  options.handshake_timeout = ToAbsl(seed.handshake_left);
  options.max_heartbeat = context.config->max_heartbeat;
  options.pair = context.config->pair;
  options.hello_after_verdict = context.config->hello_after_verdict;
  options.input = context.config->input;
  return std::make_unique<NativeSession>(context.io, context.host, context.sink, context.pool,
                                         std::move(seed.transport), std::move(seed.peer),
                                         std::move(options));
}

}  // namespace

Match NativeProtocol::MatchPreface(std::string_view first) {
  const std::string_view preface(kPreface.data(), kPreface.size());
  // The preface may come in pieces: what fits so far is neither this protocol nor another one yet.
  const size_t have = std::min(first.size(), preface.size());
  if (first.substr(0, have) != preface.substr(0, have)) return Match::kNo;
  return have < preface.size() ? Match::kNeedMore : Match::kYes;
}

std::unique_ptr<Session> NativeProtocol::Accept(SessionSeed seed, const SessionContext& context) {
  return Make(std::move(seed), context, /*dialer=*/false);
}

std::unique_ptr<Session> NativeProtocol::Dial(SessionSeed seed, const SessionContext& context) {
  return Make(std::move(seed), context, /*dialer=*/true);
}

}  // namespace weft::internal::native
