#!/usr/bin/env python3
"""Runs a command that has to fail and to say why: the canary of a checker that runs or compiles programs.

    expect_failure.py <text> -- <command...>
"""

import subprocess
import sys


def main():
    text, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        print(__doc__)
        return 2
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    if done.returncode == 0:
        print(f"MISSED: '{' '.join(command)}' succeeded; the planted fault was not caught")
        return 1
    if text not in done.stdout:
        print(f"MISSED: it failed, but without saying '{text}'")
        return 1
    print(f"caught: {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
