#include "weft/core/coro_frame.h"

#include <coroutine>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

// A coroutine that waits at its beginning; `ends` counts the frames that are destroyed.
struct Held {
  struct promise_type {
    explicit promise_type(int& count) : ends(count) {}
    ~promise_type() { ++ends; }
    Held get_return_object() {
      return {CoroFrame<promise_type>(std::coroutine_handle<promise_type>::from_promise(*this))};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
    int& ends;
  };
  CoroFrame<promise_type> frame;
};

Held Hold(int& /*ends*/) { co_return; }

static_assert(!std::is_copy_constructible_v<Held>);
static_assert(std::is_nothrow_move_constructible_v<Held>);

TEST(CoroFrame, IsDestroyedByItsOwner) {
  int ends = 0;
  {
    Held held = Hold(ends);
    EXPECT_EQ(&held.frame.promise().ends, &ends);
    held.frame.handle().resume();
    EXPECT_TRUE(held.frame.handle().done());
    EXPECT_EQ(ends, 0);
  }
  EXPECT_EQ(ends, 1);
}

TEST(CoroFrame, GoesWithAMove) {
  int ends = 0;
  {
    Held first = Hold(ends);
    const auto handle = first.frame.handle();
    Held second = std::move(first);
    EXPECT_EQ(second.frame.handle(), handle);
    EXPECT_EQ(ends, 0);
  }
  EXPECT_EQ(ends, 1) << "once";
}

TEST(CoroFrame, IsExchangedByAnAssignment) {
  int ends_of_one = 0, ends_of_other = 0;
  Held one = Hold(ends_of_one);
  {
    Held other = Hold(ends_of_other);
    one = std::move(other);
    EXPECT_EQ(ends_of_one + ends_of_other, 0);
  }
  EXPECT_EQ(ends_of_one, 1) << "its frame went to the other";
  EXPECT_EQ(ends_of_other, 0);
}

}  // namespace
}  // namespace weft::internal
