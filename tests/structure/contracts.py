"""Every header says in the comment above it which threads may touch what it declares: a line '// Threads  ...'.

That and the lines beside it (Owns, Errors, Ends) begin lines of their own: a formatter that breaks long comments anew
runs them together.
"""

import re

from source import broken, sources

THREADS = re.compile(r"// Threads  \S")
RUN_TOGETHER = re.compile(r"// .*\S +(Threads|Owns|Errors|Ends)  +\S")


def check(root):
    faults = []
    for source in sources(root, "core", "rpc"):
        if not source.is_header:
            continue
        head = []
        for line in source.lines:
            if not line.startswith("//"):
                break
            head.append(line)
        if not head:
            faults.append(broken(source.path, 1, "begins without a comment that says what it is"))
        elif not any(THREADS.match(line) for line in head):
            faults.append(broken(source.path, 1, "its first comment has no '// Threads  ...' line"))
        for number, line in enumerate(head, 1):
            if RUN_TOGETHER.match(line):
                faults.append(broken(source.path, number, "a line of the contract runs into the one before"))
    return faults
