"""No file that everything falls into: a source has at most 700 lines."""

from source import broken, sources

LIMIT = 700


def check(root):
    faults = []
    for source in sources(root, "core", "rpc", "codegen"):
        count = len(source.text.splitlines())
        if count > LIMIT:
            faults.append(broken(source.path, LIMIT + 1, f"has {count} lines, the limit is {LIMIT}: it does two jobs"))
    return faults
