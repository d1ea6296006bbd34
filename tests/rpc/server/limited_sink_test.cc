// A view of some services of a server. Names outside it must not reach the sink behind, and no text
// may name them.
#include "weft/rpc/server/limited_sink.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "weft/rpc/call/inbound_call.h"

namespace weft::internal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// The sink behind: it writes down each name that it is asked for.
class Everything final : public InboundSink {
 public:
  const BoundMethod* Find(std::string_view full_name) override {
    asked.emplace_back(full_name);
    return full_name.ends_with("/Get") ? &get : nullptr;
  }
  absl::Status Unknown(std::string_view) override { return absl::UnimplementedError("unknown"); }
  void OnCall(InboundCall&) override {}
  void OnLookedThrough(size_t size) override { looked_through += size; }

  BoundMethod get;
  std::vector<std::string> asked;
  size_t looked_through = 0;
};

class LimitedSinkTest : public testing::Test {
 protected:
  Everything all_;
  const absl::flat_hash_set<std::string> services_ = {"shop.Store", "shop.Till"};
  LimitedSink sink_{all_, services_};
};

TEST_F(LimitedSinkTest, FindsWhatItOffers) {
  EXPECT_EQ(sink_.Find("shop.Store/Get"), &all_.get);
  EXPECT_EQ(sink_.Find("shop.Store/Put"), nullptr);
  EXPECT_THAT(all_.asked, ElementsAre("shop.Store/Get", "shop.Store/Put"));
}

TEST_F(LimitedSinkTest, DoesNotAskForTheRest) {
  // A prefix of an offered name, a name without a slash, and names without a service.
  for (const char* name : {"admin.Console/Get", "shop.Stor/Get", "shop.Store.Get", "", "/"}) {
    EXPECT_EQ(sink_.Find(name), nullptr) << name;
  }
  EXPECT_THAT(all_.asked, testing::IsEmpty());
}

TEST_F(LimitedSinkTest, SaysWhatThereIsAndNothingOfTheRest) {
  const absl::Status why = sink_.Unknown("admin.Console/Get");
  EXPECT_EQ(why.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(why.message()),
              testing::AllOf(HasSubstr("admin.Console/Get"), HasSubstr("shop.Store, shop.Till")));
  // A caller's name is cut before it goes back.
  EXPECT_THAT(std::string(sink_.Unknown(std::string(1000, 'x')).message()),
              Not(HasSubstr(std::string(500, 'x'))));
  // An offered service answers for its own unknown methods.
  EXPECT_EQ(sink_.Unknown("shop.Store/Put").message(), "unknown");
}

TEST_F(LimitedSinkTest, PassesOnWhatItIsTold) {
  sink_.OnLookedThrough(17);
  EXPECT_EQ(all_.looked_through, 17u);
}

}  // namespace
}  // namespace weft::internal
