// The states of a caller's call, what can happen in each, and what is to come of it: the table that
// the walk of stream_walk_client_test.cc goes through.
//
// Threads  value
#ifndef WEFT_TESTS_RPC_PROTOCOL_NATIVE_CLIENT_WALK_TABLE_H_
#define WEFT_TESTS_RPC_PROTOCOL_NATIVE_CLIENT_WALK_TABLE_H_

#include "absl/status/status.h"
#include "tests/rpc/protocol/native/stream_walk.h"

namespace weft::test::client_walk {

enum class State {
  kWaiting,      // for the server's Hello
  kStarted,      // the server has the request, and has sent nothing
  kSomeRead,     // three messages came, one was read
  kHalfClosed,   // by the client
  kPeerEnded,    // the server has ended its messages, not the call
  kReading,      // somebody waits for a message
  kWriting,      // somebody waits for credit
  kHalfMessage,  // of a large message, or reply, a part is here
  kFinishing,    // somebody waits for the end
  kEnded,
};
enum class Event {
  kReply,
  kInitialMetadata,  // and then a reply
  kDuplicateReply,
  kReplyInside,  // a message, or another reply
  kErrorInside,
  kMessageInside,
  kDataAfterEnd,
  kBeyondCredit,
  kBeyondConnectionCredit,
  kCreditOverflow,
  kConnectionCreditOverflow,
  kNoCredit,
  kCancel,
  kDrop,  // by whoever holds the call
  kDeadline,
  kGoAwayBefore,  // the call is not among those that the server took
  kGoAwayAfter,   // it is; its reply follows
  kClose,
  kLast = kClose
};

inline const char* NameOf(State s) {
  constexpr const char* kNames[] = {"Waiting", "Started", "SomeRead",    "HalfClosed", "PeerEnded",
                                    "Reading", "Writing", "HalfMessage", "Finishing",  "Ended"};
  return kNames[static_cast<int>(s)];
}
inline const char* NameOf(Event e) {
  constexpr const char* kNames[] = {"Reply",
                                    "InitialMetadata",
                                    "DuplicateReply",
                                    "ReplyInside",
                                    "ErrorInside",
                                    "MessageInside",
                                    "DataAfterEnd",
                                    "BeyondCredit",
                                    "BeyondConnectionCredit",
                                    "CreditOverflow",
                                    "ConnectionCreditOverflow",
                                    "NoCredit",
                                    "Cancel",
                                    "Drop",
                                    "Deadline",
                                    "GoAwayBefore",
                                    "GoAwayAfter",
                                    "Close"};
  return kNames[static_cast<int>(e)];
}

inline bool CanBe(Kind kind, State state) {
  switch (state) {
    case State::kSomeRead:
    case State::kPeerEnded:
    case State::kReading:
      return ServerStreamsIn(kind);
    case State::kHalfClosed:
    case State::kWriting:
      return ClientStreamsIn(kind);
    case State::kFinishing:
      return kind != Kind::kUnary;
    default:
      return true;
  }
}

inline bool CanCome(Kind kind, State state, Event event) {
  switch (event) {
    case Event::kReplyInside:
    case Event::kErrorInside:
    case Event::kMessageInside:
      return state == State::kHalfMessage;
    case Event::kBeyondCredit:
    case Event::kBeyondConnectionCredit:
      return ServerStreamsIn(kind) && state != State::kPeerEnded && state != State::kHalfMessage;
    case Event::kDrop:
      return kind != Kind::kUnary;
    default:
      return true;
  }
}

enum class Connection {
  kLives,
  kLeaves,  // no new calls; those under way end
  kCloses,
};
struct Outcome {
  absl::StatusCode code;
  Connection connection;
};

// True of a call that the server has not taken, and that has brought nothing. Messages that its
// client has streamed go along.
inline bool GoesElsewhere(Kind kind, State state) {
  if (state == State::kEnded) return false;
  return !ServerStreamsIn(kind) ||
         (state != State::kSomeRead && state != State::kPeerEnded && state != State::kHalfMessage);
}

inline Outcome Expected(Kind kind, State state, Event event) {
  using absl::StatusCode;
  constexpr Outcome kServed{StatusCode::kOk, Connection::kLives};
  constexpr Outcome kFault{StatusCode::kUnavailable, Connection::kCloses};
  const bool ended = state == State::kEnded;
  // The call's own status where it has ended before.
  const auto unless_ended = [ended](StatusCode code) { return ended ? StatusCode::kOk : code; };
  switch (event) {
    case Event::kReply:
    case Event::kDuplicateReply:
      return kServed;
    case Event::kInitialMetadata:
      // Before everything else that the server says of the call.
      return state == State::kSomeRead || state == State::kPeerEnded || state == State::kHalfMessage
                 ? kFault
                 : kServed;
    case Event::kErrorInside:
      // A server may give a stream up in the middle; a reply it may not.
      return ServerStreamsIn(kind) ? Outcome{StatusCode::kAborted, Connection::kLives} : kFault;
    case Event::kReplyInside:
    case Event::kMessageInside:
      return kFault;
    case Event::kDataAfterEnd:
    case Event::kCreditOverflow:
      return ended ? kServed : kFault;
    case Event::kBeyondCredit:
    case Event::kBeyondConnectionCredit:
      // Credit for messages that will not be read is given back at once, so they are within any
      // credit.
      if (ended || state == State::kFinishing) return kServed;
      // After some that were not read the stream's own credit is used up first.
      return event == Event::kBeyondCredit || state == State::kSomeRead
                 ? Outcome{StatusCode::kInternal, Connection::kLives}
                 : kFault;
    case Event::kConnectionCreditOverflow:
    case Event::kNoCredit:
    case Event::kClose:
      return {unless_ended(StatusCode::kUnavailable), Connection::kCloses};
    case Event::kCancel:
    case Event::kDrop:
      return {unless_ended(StatusCode::kCancelled), Connection::kLives};
    case Event::kDeadline:
      return {unless_ended(StatusCode::kDeadlineExceeded), Connection::kLives};
    case Event::kGoAwayBefore:
      return {GoesElsewhere(kind, state) ? StatusCode::kOk : unless_ended(StatusCode::kUnavailable),
              Connection::kLeaves};
    case Event::kGoAwayAfter:
      return {StatusCode::kOk, Connection::kLeaves};
  }
  return kServed;
}

}  // namespace weft::test::client_walk

#endif  // WEFT_TESTS_RPC_PROTOCOL_NATIVE_CLIENT_WALK_TABLE_H_
