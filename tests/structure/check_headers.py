#!/usr/bin/env python3
"""Compiles each header of core/ and rpc/ alone, twice in one unit: it includes what it uses, and is guarded."""

import argparse
import concurrent.futures
import pathlib
import subprocess
import sys


def compile_alone(command, folder, header):
    unit = folder / (header.replace("/", "_") + ".cc")
    unit.write_text(f'#include "weft/{header}"\n#include "weft/{header}"\n', encoding="utf-8")
    done = subprocess.run(
        [*command, "-c", str(unit), "-o", str(unit.with_suffix(".o"))],
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
    arguments.work.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(compile_alone, arguments.command, arguments.work, h) for h in headers]
        for run in runs:
            header, status, output = run.result()
            if status != 0:
                failed += 1
                print(f"{header}:1: does not compile alone\n{output}")
    print(f"{len(headers)} headers, {failed} do not compile alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
