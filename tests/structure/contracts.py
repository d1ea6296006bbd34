"""Every header says in the comment above it which threads may touch what it declares: a line '// Threads  ...'."""

import re

from source import broken, sources

THREADS = re.compile(r"// Threads  \S")


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
    return faults
