"""The library never ends the process and never throws: errors are Statuses.

core/check.h, which traps on a bug in builds without NDEBUG, is the one exception. Code that passes on an exception of
the user's own is allowed by name, below, with the reason.
"""

import re

from source import broken, sources

EXEMPT = {"core/check.h"}

ALLOWED = {
    ("core/block.cc", "throw"): "as operator new does; who can say what could not be had asks with TryNew",
    ("core/callback_faults.cc", "rethrow_exception"): "what a user's callback threw is caught again at once, and logged",
    ("core/coro.h", "rethrow_exception"): "what a user's coroutine threw goes on to the coroutine that awaits it",
    ("rpc/call/stream_service.h", "throw"): "what an async handler threw goes on to the dispatcher, which makes a Status of it",
    ("rpc/call/service.h", "throw"): "what an async handler threw goes on to the dispatcher, which makes a Status of it",
    ("rpc/call/service.cc", "rethrow_exception"): "what a handler threw is caught again at once, and becomes a Status",
}

GATES = [
    (re.compile(r"(?<![\w.>])(?:std::|::)?(exit|_exit|_Exit|quick_exit|abort|terminate)\s*\("), "ends the process"),
    (re.compile(r"\b__builtin_(trap|unreachable|abort)\s*\("), "ends the process"),
    (re.compile(r"\b(ABSL_RAW_CHECK|ABSL_RAW_LOG|ABSL_INTERNAL_CHECK|GOOGLE_CHECK|GOOGLE_LOG|assert)\s*\("),
     "ends the process"),
    (re.compile(r"\bthrow\b"), "throws"),
    (re.compile(r"\brethrow_exception\b"), "throws"),
]


def check(root):
    faults = []
    for source in sources(root, "core", "rpc"):
        if source.path in EXEMPT:
            continue
        for number, line in enumerate(source.code, 1):
            for pattern, what in GATES:
                found = pattern.search(line)
                if found and (source.path, found.group(0)) not in ALLOWED:
                    faults.append(broken(source.path, number, f"{what}: {found.group(0).strip()}"))
    return faults
