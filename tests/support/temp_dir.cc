#include "tests/support/temp_dir.h"

#include <stdlib.h>

#include <filesystem>
#include <system_error>

#include <gtest/gtest.h>

namespace weft {

TempDir::TempDir() {
  // Not below the build directory: a unix socket's path has room for 107 bytes.
  char name[] = "/tmp/weft-test-XXXXXX";
  const char* made = ::mkdtemp(name);
  EXPECT_NE(made, nullptr);
  if (made != nullptr) path_ = made;
}

TempDir::~TempDir() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace weft
