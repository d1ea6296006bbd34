// A second protocol, for tests only: calls as lines of text, both ways, between the same servers
// and channels. It shows what a protocol has to bring; docs/adding_a_protocol.md walks through it.
//
//   dialer    LINE <token>                      first; "LINE " is what the protocol is known by
//   acceptor  WELCOME                           or REFUSED <text>, and the end
//   either    CALL <id> <method> <micros left, 0: no limit> <request>
//             REPLY <id> <code> <reply, or with a code the error's text>
//             CANCEL <id>
//             BYE <text>                        no more calls, please
//             HEARD                             of BYE: no more will come
//
// Words are parted by one space; token, request, reply and texts are in hexadecimal.
//
// Threads  as Protocol
#ifndef WEFT_TESTS_SUPPORT_LINE_PROTOCOL_H_
#define WEFT_TESTS_SUPPORT_LINE_PROTOCOL_H_

#include "weft/rpc/protocol/protocol.h"

namespace weft::test {

extern const Protocol kLineProtocol;

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_LINE_PROTOCOL_H_
