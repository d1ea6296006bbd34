// Metadata from the wire: any bytes. Metadata that is accepted is written back as the same bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/check.h"
#include "weft/rpc/base/metadata.h"

using weft::fuzz::Check;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  weft::Metadata metadata;
  const bool ok = metadata.ReadFrom(bytes).ok();
  std::string written(metadata.WireSize(), '\0');
  Check(metadata.WriteTo(written.data()) == written.data() + written.size());
  // The part that was read before an error is a prefix of the input.
  Check(written == bytes.substr(0, written.size()));
  Check(!ok || written.size() == bytes.size());
  for (const auto& [key, value] : metadata.entries()) {
    Check(metadata.Get(key).has_value());
    weft::Metadata again;
    Check(again.Add(key, value).ok() || key.substr(0, 5) == "weft-");
  }
  return 0;
}
