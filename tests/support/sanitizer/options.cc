// The sanitizers' options for every program of the tree, read by their runtime before main. The
// environment (TSAN_OPTIONS and so on) still goes before these, setting by setting.

extern "C" {

// Debian's libraries are not built for the thread sanitizer: what happens inside them is not
// judged.
const char* __tsan_default_options() {
  return "ignore_noninstrumented_modules=1:halt_on_error=1:second_deadlock_stack=1";
}

const char* __asan_default_options() {
  return "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1";
}

const char* __ubsan_default_options() { return "print_stacktrace=1"; }

}  // extern "C"
