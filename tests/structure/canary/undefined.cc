// Overflows a signed integer: the undefined behaviour sanitizer has to report it.
#include <limits>

int main(int argc, char**) {
  volatile int most = std::numeric_limits<int>::max();
  most = most + argc;
  return most == 12345 ? 1 : 0;
}
