#!/usr/bin/env python3
"""Compiles headers of core/ and rpc/ alone, twice in one unit: each includes what it uses, and is guarded.

A header that its own source includes first is compiled alone there, as the preset clang has no precompiled
headers; of such a header only the guard is looked at.
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys

FIRST_INCLUDE = re.compile(r"^#include +(\S+)", re.MULTILINE)
GUARD = re.compile(r"^#ifndef (WEFT_\w+_H_)\n#define \1\n(?s:.*)^#endif|^#pragma once$", re.MULTILINE)


def is_first_in_its_source(root, header):
    source = (root / header).with_suffix(".cc")
    if not source.exists():
        return False
    first = FIRST_INCLUDE.search(source.read_text(encoding="utf-8"))
    return first is not None and first.group(1) == f'"weft/{header}"'


def compile_alone(command, folder, header):
    unit = folder / (header.replace("/", "_") + ".cc")
    unit.write_text(f'#include "weft/{header}"\n#include "weft/{header}"\n', encoding="utf-8")
    done = subprocess.run(
        [*command, "-fsyntax-only", str(unit)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return header, done.returncode, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the folder that holds core/ and rpc/")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder for what is compiled")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("command", nargs="+", metavar="compiler and flags", help="after --")
    arguments = parser.parse_args()
    headers = [
        path.relative_to(arguments.root).as_posix()
        for room in ("core", "rpc")
        for path in sorted((arguments.root / room).rglob("*.h"))
    ]
    if not headers:
        print(f"no headers below {arguments.root}")
        return 1
    failed = 0
    with_source = {header for header in headers if is_first_in_its_source(arguments.root, header)}
    for header in sorted(with_source):
        if not GUARD.search((arguments.root / header).read_text(encoding="utf-8")):
            failed += 1
            print(f"{header}:1: is not guarded")
    arguments.work.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(compile_alone, arguments.command, arguments.work, h) for h in headers
                if h not in with_source]
        for run in runs:
            header, status, output = run.result()
            if status != 0:
                failed += 1
                print(f"{header}:1: does not compile alone\n{output}")
    print(f"{len(headers)} headers, {len(with_source)} of them alone in their source; {failed} faults")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
