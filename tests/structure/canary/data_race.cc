// Two threads write one integer without a lock: the thread sanitizer has to report it.
#include <thread>

int shared = 0;

int main() {
  std::thread other([] {
    for (int i = 0; i < 1000; ++i) shared += i;
  });
  for (int i = 0; i < 1000; ++i) shared -= i;
  other.join();
  return 0;
}
