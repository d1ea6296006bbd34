// A process that has little memory left: what asks for 64 KiB and more at once gets none, neither
// of operator new nor as a mapping; small allocations go on.
//
// A program that names this class has its operator new.
//
// Threads  made and destroyed by one thread while no other starts or ends; all threads feel it
// Owns     the limit of address space, and gives it back
#ifndef WEFT_TESTS_SUPPORT_NO_LARGE_MEMORY_H_
#define WEFT_TESTS_SUPPORT_NO_LARGE_MEMORY_H_

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace weft {

class NoLargeMemory {
 public:
  static constexpr size_t kFrom = size_t{64} << 10;
#if defined(__SANITIZE_THREAD__)
  static constexpr bool kPossible = false;  // the sanitizer maps memory of its own meanwhile
#else
  static constexpr bool kPossible = true;
#endif

  // kNew: operator new alone, for tables. kMappings: mappings, too, for blocks; then the heap
  // cannot grow either, so what goes on meanwhile must be little.
  enum class Of : uint8_t { kNew, kMappings };

  explicit NoLargeMemory(Of of);
  ~NoLargeMemory();
  NoLargeMemory(const NoLargeMemory&) = delete;
  NoLargeMemory& operator=(const NoLargeMemory&) = delete;

  // How many allocations of operator new have failed since it was made.
  int refused() const;

 private:
  rlimit before_{};
  std::unique_ptr<char[]> pin_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_NO_LARGE_MEMORY_H_
