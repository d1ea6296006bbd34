// A directory for one test, removed with what is in it.
//
// Threads  value
// Owns     the directory
#ifndef WEFT_TESTS_SUPPORT_TEMP_DIR_H_
#define WEFT_TESTS_SUPPORT_TEMP_DIR_H_

#include <string>

namespace weft {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_TEMP_DIR_H_
