"""Chance and time have one door each: RandomSeed (core/random_bits.h) and Clock (core/clock.h).

Inside a simulation both are its own, and a run can be repeated. Files that ask the system stand below, each with its
reason.
"""

import re

from source import broken, sources

ASKS = re.compile(
    r"\b(random_device|getrandom|BitGen|InsecureBitGen|KernelRandomSeed|system_clock::now|steady_clock::now|clock_gettime"
    r"|gettimeofday|absl::Now|GetCurrentTimeNanos)\b|\bstd::rand\b|\brand\(\)|\"absl/random/")

ALLOWED = {
    "core/random_bits.h": "the door itself",
    "core/random_bits.cc": "the door itself",
    "core/clock.cc": "the system's clock",
    "core/event_loop.cc": "a loop that is given no source of chance draws the seed of its own",
    "core/runtime.cc": "a runtime that is given no seed draws one",
    "core/stderr_sink.cc": "the wall's time of log lines",
    "core/unix_socket_file.cc": "a file's name that no other process uses",
    "core/worker_pool.cc": "the time that a thread has used",
    "rpc/node_core.cc": "an incarnation by the wall's time, where none is given; who waits for peers does so by the system's",
    "rpc/call/server_context.cc": "a deadline as a time of the wall, for handlers that ask",
}


def check(root):
    faults = []
    asking = set()
    for source in sources(root, "core", "rpc"):
        for number, line in enumerate(source.code, 1):
            if not ASKS.search(line):
                continue
            asking.add(source.path)
            if source.path not in ALLOWED:
                faults.append(broken(source.path, number,
                                     "asks the system for chance or time: RandomSeed() or a Clock, or a simulation"
                                     " cannot be repeated"))
    for path in sorted(set(ALLOWED) - asking):
        if (root / path).exists():
            faults.append(broken(path, 1, "does not ask the system any more: take it off the list in"
                                          " tests/structure/chance.py"))
    return faults
