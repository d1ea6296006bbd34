// Reads one past the end of a block: the address sanitizer has to report it.
#include <memory>

int main(int argc, char**) {
  const auto block = std::make_unique<int[]>(4);
  block[0] = argc;
  const volatile int* past = block.get() + 3 + argc;
  return *past == 12345 ? 1 : 0;
}
