// Text of a peer, made fit for a line: what is kept, what is escaped, and where it is cut.
#include "weft/core/printable.h"

#include <string>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(Printable, LeavesPrintableTextAsItIs) {
  for (const std::string text : {"", "a line with {} %s \\ and \"quotes\"", "größer 接続 🙂"}) {
    EXPECT_TRUE(Printable::Is(text)) << text;
    EXPECT_EQ(Printable::Text(text), text);
  }
}

TEST(Printable, EscapesWhatATerminalWouldActOn) {
  const struct {
    std::string text, printed;
  } cases[] = {
      {"a\nb\r\tc", "a\\nb\\r\\tc"},
      {std::string("nul\0end", 7), "nul\\x00end"},
      {"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"},
      {"\x7f", "\\x7f"},
      {"\xc2\x9b"
       "31m",
       "\\xc2\\x9b31m"},                                          // C1: a CSI of one character
      {"a\xe2\x80\xa8z", "a\\xe2\\x80\\xa8z"},                    // a line separator
      {"user\xe2\x80\xaegnp.exe", "user\\xe2\\x80\\xaegnp.exe"},  // right to left
  };
  for (const auto& c : cases) {
    EXPECT_FALSE(Printable::Is(c.text)) << c.printed;
    EXPECT_EQ(Printable::Text(c.text), c.printed);
  }
}

TEST(Printable, EscapesBytesThatAreNoUtf8) {
  const struct {
    std::string text, printed;
  } cases[] = {
      {"\xff\xfe", "\\xff\\xfe"},
      {"\x80", "\\x80"},                             // a continuation alone
      {"\xc3", "\\xc3"},                             // cut off
      {"\xc0\xaf", "\\xc0\\xaf"},                    // longer than it need be
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           // the same
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // a surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // beyond the last one
      {"\xe6\x8e\xa5\xe6\x8e", "接\\xe6\\x8e"},
  };
  for (const auto& c : cases) EXPECT_EQ(Printable::Text(c.text), c.printed);
}

TEST(Printable, ChangesNothingTheSecondTime) {
  std::string all;
  // The text holds every byte, be it valid UTF-8 or not.
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  const std::string once = Printable::Text(all, 4096);
  EXPECT_EQ(Printable::Text(once, 4096), once);
}

TEST(Printable, CutsWhatIsTooLongBetweenCharactersAndSaysSo) {
  EXPECT_EQ(Printable::Text("abcdef", 6), "abcdef");
  EXPECT_EQ(Printable::Text("abcdef", 4), "abcd... (2 bytes more)");
  // The cut goes neither through an escape nor through a character of several bytes.
  EXPECT_EQ(Printable::Text("ab\n\n", 5), "ab\\n... (1 bytes more)");
  EXPECT_EQ(Printable::Text("ab接", 4), "ab... (3 bytes more)");
  const std::string huge(size_t{1} << 20, '\x1b');
  // Each byte becomes four: the limit counts the bytes of the result.
  EXPECT_LE(Printable::Text(huge).size(), Printable::kMaxText + 32);
}

}  // namespace
}  // namespace weft::internal
