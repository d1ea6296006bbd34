// WhenAll(…): awaits several at once, and gives their results in order.
//
//   auto [length, text] = co_await weft::WhenAll(stub.LengthCoro(a), Describe(b));
//   std::vector<absl::StatusOr<Reply>> replies = co_await weft::WhenAll(std::move(calls));
//
// An argument is whatever can be moved and awaited: a Coro, a call of a stub, a Sleep. All of them
// begin, one after the other, when WhenAll is awaited; each goes on where it would by itself, so on
// a pool they may run on several workers at once. The awaiter goes on behind the last end, where
// that is. An argument that returns nothing has a std::monostate in the tuple; a vector of those
// gives nothing.
//
// Threads  as Coro
// Owns     its arguments, until all have ended; destroyed before, it destroys them
// Errors   of what they throw the first in the order of the arguments comes out of co_await, when
//          all have ended
// Ends     when the last of them ends
#ifndef WEFT_CORE_WHEN_ALL_H_
#define WEFT_CORE_WHEN_ALL_H_

#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/core/coro.h"
#include "weft/core/join_awaiter.h"
#include "weft/core/joined.h"

namespace weft {

namespace internal {

template <typename... T>
Coro<std::tuple<CoroValue<T>...>> JoinTuple(std::tuple<Joined<T>...> all) {
  const auto begin = [&all](JoinAwaiter* awaiter) {
    std::apply([awaiter](auto&... one) { (one.Begin(awaiter), ...); }, all);
  };
  JoinAwaiter ends(sizeof...(T), begin);
  co_await ends;
  co_return std::apply([](auto&... one) { return std::tuple<CoroValue<T>...>{one.TakeValue()...}; },
                       all);
}

template <typename T>
Coro<std::conditional_t<std::is_void_v<T>, void, std::vector<CoroValue<T>>>> JoinVector(
    std::vector<Joined<T>> all) {
  const auto begin = [&all](JoinAwaiter* awaiter) {
    for (Joined<T>& one : all) one.Begin(awaiter);
  };
  JoinAwaiter ends(all.size(), begin);
  co_await ends;
  if constexpr (std::is_void_v<T>) {
    for (Joined<T>& one : all) (void)one.TakeValue();
  } else {
    std::vector<T> values;
    values.reserve(all.size());
    for (Joined<T>& one : all) values.push_back(one.TakeValue());
    co_return values;
  }
}

}  // namespace internal

template <typename... Awaitable>
Coro<std::tuple<internal::CoroValue<internal::AwaitedBy<Awaitable>>...>> WhenAll(Awaitable... all) {
  using All = std::tuple<internal::Joined<internal::AwaitedBy<Awaitable>>...>;
  return internal::JoinTuple(All{internal::Join(std::move(all))...});
}

template <typename Awaitable>
auto WhenAll(std::vector<Awaitable> all) {
  using Result = internal::AwaitedBy<Awaitable>;
  std::vector<internal::Joined<Result>> joined;
  joined.reserve(all.size());
  for (Awaitable& one : all) joined.push_back(internal::Join(std::move(one)));
  return internal::JoinVector<Result>(std::move(joined));
}

}  // namespace weft

#endif  // WEFT_CORE_WHEN_ALL_H_
