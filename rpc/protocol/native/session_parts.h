// References to the parts of one native session, by which they find one another. They are kept
// once, and not by every part that uses another: that would be 200 bytes more a connection.
//
// Threads  the session's loop
// Owns     nothing; the session has all of them
#ifndef WEFT_RPC_PROTOCOL_NATIVE_SESSION_PARTS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_SESSION_PARTS_H_

namespace weft {
class Connection;
class Timer;
}  // namespace weft

namespace weft::native {

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
  // Until Hello has come, of the time for it; then of the heartbeat.
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

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_SESSION_PARTS_H_
