// A call that a handler makes back to its caller, over the same connection, in the handler's own
// style: a history of its own under its own key, which says of which of the four kinds it is.
//
// Threads  the handler's; of the callback style any
// Ends     when the call has
#ifndef WEFT_TESTS_HISTORY_CALL_BACK_H_
#define WEFT_TESTS_HISTORY_CALL_BACK_H_

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "tests/history/call_history.h"
#include "weft/core/coro.h"
#include "weft/rpc/call/server_context.h"

namespace weft::test {

struct CallBackWish {
  int64_t key = 0;  // 0: there is nothing to be called
  int64_t bytes = 0;
};

// Each does nothing where nothing is wished.
void CallBack(HistorySink& history, ServerContext& call, CallBackWish wish);
void CallBackAsync(HistorySink& history, ServerContext& call, CallBackWish wish,
                   absl::AnyInvocable<void() &&> done);
Coro<int> CallBackCoro(HistorySink& history, ServerContext& call, CallBackWish wish);

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_BACK_H_
