// A server's life as its starter sees it: READY on stdout, then SIGTERM.
//
// Threads  BlockTermination in main before any thread starts, which then inherit the mask;
//          WaitForTermination on one thread; AnnounceReady from any
#pragma once

#include <signal.h>

#include <cstdio>

namespace weft::bench {

inline sigset_t TerminationSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);
  return signals;
}

// Also ignores SIGPIPE: a client that goes away is no reason to die.
inline void BlockTermination() {
  const sigset_t signals = TerminationSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

// SIGTERM or SIGINT, or SIGUSR1: somebody wants to know something.
inline int WaitForSignal() {
  const sigset_t signals = TerminationSignals();
  int which = 0;
  while (sigwait(&signals, &which) != 0) {
  }
  return which;
}

inline void WaitForTermination() {
  while (WaitForSignal() == SIGUSR1) {
  }
}

inline void AnnounceReady() {
  std::puts("READY");
  std::fflush(stdout);
}

}  // namespace weft::bench
