// References to the parts of one native session, by which the parts find one another. They exist
// once and not in every part that needs them: that would take 200 bytes more for each connection.
//
// Threads  the session's loop
// Owns     nothing; the session has all parts
#ifndef WEFT_RPC_PROTOCOL_NATIVE_SESSION_PARTS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_SESSION_PARTS_H_

#include "weft/core/requirements.h"

namespace weft::internal {
class Connection;
class Timer;
}  // namespace weft::internal

namespace weft::internal::native {

class CallEnder;
class FrameDemultiplexer;
class HandshakePhase;
class InboundTable;
class Leaving;
class LifeWatch;
class QuietTrim;
class ReplyReader;
class StreamReader;
class UnfinishedMessages;

struct SessionParts {
  Connection& connection;
  // For the handshake, then for the heartbeat.
  Timer& timer;
  HandshakePhase& handshake;
  FrameDemultiplexer& demultiplexer;
  InboundTable& inbound;
  ReplyReader& replies;
  CallEnder& ender;
  StreamReader& streams;
  UnfinishedMessages& unfinished;
  Leaving& leaving;
  LifeWatch& life;
  QuietTrim& trim;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_SESSION_PARTS_H_
