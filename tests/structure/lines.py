#!/usr/bin/env python3
"""Counts the lines that a program gets with one include, after the preprocessor: a few headers have a limit.

Of 90,000 lines std::string, the standard's containers, absl::StatusOr, absl::Duration and protobuf's message_lite.h take
86,900 with g++ 12. A library that stands behind one forward declaration fewer (Abseil's hash map: 10,500) is over it.
"""

import subprocess
import sys

LIMITS = {"weft/rpc/server.h": 90_000, "weft/rpc/channel.h": 90_000}
SHOWN = ("weft/rpc/node.h", "weft/rpc/broadcast.h")


def lines(compile_, header):
    """The lines of the header, preprocessed, that are not blank."""
    text = subprocess.run([*compile_, "-E", "-P", "-x", "c++", "-"], input=f'#include "{header}"\n', text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    return sum(1 for line in text.splitlines() if line.strip())


def main():
    """The compiler and its options are the arguments."""
    compile_, over = sys.argv[1:], 0
    for header in (*LIMITS, *SHOWN):
        count, limit = lines(compile_, header), LIMITS.get(header)
        print(f"{header}: {count} lines" + (f" of {limit}" if limit else ""))
        over += limit is not None and count > limit
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
