// The command line of a benchmark program: `--name value`, `--name=value`, flags without a value.
//
// A program asks for the names it knows. Flags that it never asked for are in Unread(): a rival's
// driver is started with weft's flags too, and says which of them it ignores instead of refusing to
// run.
//
// Threads  value
// Errors   a malformed line or number ends the program
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "bench/peers/common/fail.h"

namespace weft::bench {

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (word.size() < 3 || !IsName(word)) Fail("unexpected argument " + word);
      const size_t equals = word.find('=');
      if (equals != std::string::npos) {
        values_[word.substr(2, equals - 2)] = word.substr(equals + 1);
      } else if (i + 1 < argc && !IsName(argv[i + 1])) {
        values_[word.substr(2)] = argv[++i];
      } else {
        values_[word.substr(2)] = "";  // a flag
      }
    }
  }

  std::string Text(const std::string& name, const std::string& otherwise) {
    read_.insert(name);
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }

  int64_t Integer(const std::string& name, int64_t otherwise, int64_t least, int64_t most) {
    const double value = Real(name, static_cast<double>(otherwise), static_cast<double>(least),
                              static_cast<double>(most));
    const auto whole = static_cast<int64_t>(value);
    if (static_cast<double>(whole) != value) Fail("--" + name + " needs a whole number");
    return whole;
  }

  double Real(const std::string& name, double otherwise, double least, double most) {
    read_.insert(name);
    const auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    char* end = nullptr;
    errno = 0;
    const double value = std::strtod(found->second.c_str(), &end);
    if (found->second.empty() || *end != '\0' || errno != 0) Fail("--" + name + " needs a number");
    if (!(value >= least && value <= most)) Fail("--" + name + " is out of range");
    return value;
  }

  bool Flag(const std::string& name) {
    const std::string value = Text(name, "false");
    if (value.empty() || value == "true" || value == "1") return true;
    if (value == "false" || value == "0") return false;
    Fail("--" + name + " is a flag: it takes no value, or true or false");
  }

  // Names given that no call above asked for.
  std::set<std::string> Unread() const {
    std::set<std::string> names;
    for (const auto& [name, value] : values_) {
      if (!read_.contains(name)) names.insert(name);
    }
    return names;
  }

  // For rivals: one line on stderr says what has no meaning here.
  void IgnoreUnread() const {
    for (const std::string& name : Unread()) {
      std::fprintf(stderr, "ignored: --%s means nothing to this system\n", name.c_str());
    }
  }

  // For programs that know every flag there is: anything else is a slip of the pen.
  void RefuseUnread() const {
    const std::set<std::string> unread = Unread();
    if (!unread.empty()) Fail("unknown option --" + *unread.begin());
  }

 private:
  static bool IsName(const std::string& word) { return word.starts_with("--"); }

  std::map<std::string, std::string> values_;
  std::set<std::string> read_;
};

}  // namespace weft::bench
