// The script of a fake streaming call: when its end is due. The test reports to the script what a
// call would report.
#include "weft/rpc/testing/fake_script.h"

#include <gtest/gtest.h>

namespace weft::test {
namespace {

class FakeScriptTest : public testing::Test {
 protected:
  // How the call ends now; OK: it goes on.
  absl::Status Due(size_t written = 0, bool half_closed = false) {
    return script.DueEnd(written, half_closed).value_or(absl::OkStatus());
  }
  void Push() { EXPECT_TRUE(script.Push({})); }

  const absl::Status ended = absl::AbortedError("the script says so");
  internal::FakeScript script;
};

TEST_F(FakeScriptTest, GoesOnWithoutAnEnd) {
  EXPECT_TRUE(Due().ok());
  EXPECT_TRUE(Due(100, /*half_closed=*/true).ok());
}

TEST_F(FakeScriptTest, EndsWhenAllIsRead) {
  Push();
  Push();
  EXPECT_TRUE(script.End(ended));
  EXPECT_FALSE(script.Push({})) << "nothing comes behind the end";
  EXPECT_FALSE(script.End(absl::OkStatus())) << "the first one counts";
  internal::ReceivedMessage message;
  EXPECT_TRUE(script.TakePushed(&message));
  EXPECT_TRUE(script.TakePushed(&message));
  EXPECT_FALSE(script.TakePushed(&message));
  EXPECT_TRUE(Due().ok()) << "delivered, and not read";
  script.SetRead(1);
  EXPECT_TRUE(Due().ok());
  script.SetRead(1);
  EXPECT_EQ(Due(), ended);
}

TEST_F(FakeScriptTest, EndsWhenTheCallerHasHalfClosedToo) {
  script.EndAtHalfClose(ended);
  EXPECT_TRUE(Due().ok());
  EXPECT_EQ(Due(0, /*half_closed=*/true), ended);
}

TEST_F(FakeScriptTest, FailsAfterSoManyMessagesWhateverWaitsToBeRead) {
  Push();
  script.FailAfter(2, ended);
  // One message is still unread, which delays an ordinary end but no failure.
  EXPECT_TRUE(Due(1).ok());
  EXPECT_EQ(Due(2), ended);
}

}  // namespace
}  // namespace weft::test
