"""Tests wait for what they expect, never for time to pass: none of them sleeps.

A manual clock moves time, a latch, Notification or Parker waits for an event, and PollUntil looks for what gives no
signal. Files that sleep all the same stand below, each with its reason.
"""

import re

from source import broken, sources

SLEEP = re.compile(r"\b(sleep_for|sleep_until|SleepFor|usleep|nanosleep|clock_nanosleep|sleep)\s*\(")

ALLOWED = {
    "tests/support/watched.cc": "PollUntil itself, between two looks",
    "tests/integration/overload_test.cc": "that a server does not read is an absence: nothing signals it",
    "tests/call_history.cc": "a report of a hang gives cancelled calls two seconds, and a plant hangs",
    "tests/history/history_services.h": "handlers that are slow, for calls to be cut in them",
    "tests/history/stream_services.cc": "the same",
    "tests/history/stream_caller.cc": "readers that are slow",
    "tests/history/unsteady_world.cc": "trouble comes at any time",
    "tests/history/process_world.cc": "the same",
    "tests/hostile/hostile_server.cc": "handlers and authenticators take the time that an attack asks for",
    "tests/net/mesh_node.cc": "a load at a steady rate, and handlers that are slow",
}


def check(root):
    faults = []
    sleeping = set()
    for source in sources(root, "tests"):
        for number, line in enumerate(source.code, 1):
            if not SLEEP.search(line):
                continue
            sleeping.add(source.path)
            if source.path not in ALLOWED:
                faults.append(broken(source.path, number, "a test that sleeps: wait for what is expected"))
    for path in sorted(set(ALLOWED) - sleeping):
        if (root / path).exists():
            faults.append(broken(path, 1, "does not sleep any more: take it off the list in tests/structure/sleeps.py"))
    return faults
