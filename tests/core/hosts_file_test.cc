// Lookups in a hosts file that the tests write.
#include "weft/core/hosts_file.h"

#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HostsFile : public testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  std::vector<std::string> Find(const std::string& name) {
    std::vector<std::string> texts;
    for (const SocketAddress& a : FindInHosts(path_, name, 7)) texts.push_back(a.ToString());
    return texts;
  }

  const TempDir dir_;
  const std::string path_ = dir_.path() + "/hosts";
};

TEST_F(HostsFile, HasBothFamiliesOfANameInTheFilesOrder) {
  Write("127.0.0.1 localhost\n10.0.0.1\tdb db.example\n::2 other db\n10.0.0.2 db\n10.0.0.1 db\n");
  // The last line repeats an address, which is given once.
  EXPECT_THAT(Find("db"), ElementsAre("10.0.0.1:7", "[::2]:7", "10.0.0.2:7"));
  EXPECT_THAT(Find("db.example"), ElementsAre("10.0.0.1:7"));
}

TEST_F(HostsFile, DoesNotMindCase) {
  Write("10.0.0.1 DB.Example\n");
  EXPECT_THAT(Find("db.eXample"), ElementsAre("10.0.0.1:7"));
}

TEST_F(HostsFile, PassesOverCommentsNoiseAndPartsOfNames) {
  Write(
      "#10.0.0.1 db\n10.0.0.2 x # db\n10.0.0.3 mydb db.example\nnonsense db\ndb\n\n \t\r\n"
      "10.0.0.4  db\t\r");
  EXPECT_THAT(Find("db"), ElementsAre("10.0.0.4:7"));
}

TEST_F(HostsFile, IsReadAnewEachTime) {
  EXPECT_THAT(Find("db"), IsEmpty()) << "there is none";
  Write("10.0.0.1 db\n");
  EXPECT_THAT(Find("db"), ElementsAre("10.0.0.1:7"));
  Write("10.0.0.2 db\n");
  EXPECT_THAT(Find("db"), ElementsAre("10.0.0.2:7"));
}

}  // namespace
}  // namespace weft::internal
