// The compiler's settings without which no header of weft works: C++20 and exceptions.
//
// Every header of core and rpc includes this one, directly or through others, so that a wrong
// setting is named in one line before anything else fails. Exceptions are needed although weft
// throws none: inline functions here catch what users' code throws. Compiled without them they
// would differ from the library's, and the linker keeps either.
//
// Threads  any; nothing is declared
#ifndef WEFT_CORE_REQUIREMENTS_H_
#define WEFT_CORE_REQUIREMENTS_H_

#if __cplusplus < 202002L
#error "weft needs C++20: compile with -std=c++20 or newer"
#endif

#if !defined(__cpp_exceptions)
#error "weft needs exceptions: compile without -fno-exceptions"
#endif

#endif  // WEFT_CORE_REQUIREMENTS_H_
