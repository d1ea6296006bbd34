#include "weft/core/hosts_file.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace weft::internal {

std::vector<SocketAddress> FindInHosts(const std::string& file, std::string_view name,
                                       uint16_t port) {
  std::vector<SocketAddress> found;
  const absl::string_view wanted(name.data(), name.size());
  std::ifstream hosts(file);
  for (std::string line; std::getline(hosts, line);) {
    // Most lines of a large file end here.
    const auto same = [](char a, char b) {
      return absl::ascii_tolower(a) == absl::ascii_tolower(b);
    };
    if (std::search(line.begin(), line.end(), wanted.begin(), wanted.end(), same) == line.end()) {
      continue;
    }
    const absl::string_view said = absl::string_view(line).substr(0, line.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(said, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    const auto is_name = [&](absl::string_view word) {
      return absl::EqualsIgnoreCase(word, wanted);
    };
    if (words.size() < 2 || !std::any_of(words.begin() + 1, words.end(), is_name)) continue;
    HostPort host_port;
    host_port.host = std::string(words[0]);
    host_port.port = port;
    const absl::StatusOr<SocketAddress> address = SocketAddress::From(host_port);
    if (!address.ok()) continue;
    if (std::find(found.begin(), found.end(), *address) == found.end()) found.push_back(*address);
  }
  return found;
}

}  // namespace weft::internal
