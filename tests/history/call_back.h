// A call that a handler makes back to its caller, over the same connection: a history of its own
// under the key that the script names.
//
// Threads  the handler's
// Ends     when the call has
#ifndef WEFT_TESTS_HISTORY_CALL_BACK_H_
#define WEFT_TESTS_HISTORY_CALL_BACK_H_

#include "tests/history/call_history.h"
#include "tests/history/stream_script.h"
#include "weft/core/coro.h"
#include "weft/rpc/call/server_context.h"

namespace weft::test {

// Nothing, where the script says none.
void CallBack(HistorySink& history, ServerContext& call, const StreamScript& script);
Coro<int> CallBackCoro(HistorySink& history, ServerContext& call, const StreamScript& script);

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_BACK_H_
