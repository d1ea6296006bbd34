// Loses its only pointer to a block: the leak sanitizer has to report it.

int* volatile kept;

int main(int argc, char**) {
  kept = new int[64];
  kept[0] = argc;
  kept = nullptr;
  return 0;
}
