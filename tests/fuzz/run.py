#!/usr/bin/env python3
"""Runs fuzz targets, each from its corpus, for so many seconds.

    run.py --build build/clang [--seconds 20] [--at-once 2] [name...]

Inputs that reach something new gather in <build>/fuzz/<name>/, not in the tree; an input that ends a target is kept as
<build>/fuzz/<name>-crash-..., and run.py ends with 1.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def fuzz(program, work, seconds):
    """Runs one target. Returns if it held, a line about it, and its output."""
    name = program.name.removesuffix("_fuzz")
    found = work / name
    found.mkdir(parents=True, exist_ok=True)
    command = [program, f"-max_total_time={seconds}", "-timeout=30", "-rss_limit_mb=3000", "-print_final_stats=1",
               f"-artifact_prefix={work / name}-"]
    words = HERE / f"{name}.dict"
    if words.exists():
        command.append(f"-dict={words}")
    command += [found, HERE / "corpus" / name]
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    said = "held" if done.returncode == 0 else f"FAILED with {done.returncode}"
    return done.returncode == 0, f"{name}: {said}, {runs.group(1) if runs else 'no'} runs", done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--at-once", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("names", nargs="*", metavar="name")
    arguments = parser.parse_args()
    programs = sorted((arguments.build / "tests" / "fuzz").glob("*_fuzz"))
    known = {program.name.removesuffix("_fuzz"): program for program in programs}
    unknown = set(arguments.names) - set(known)
    if unknown or not known:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    work = arguments.build.resolve() / "fuzz"
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        chosen = [known[name].resolve() for name in arguments.names or known]
        for held, line, output in pool.map(lambda program: fuzz(program, work, arguments.seconds), chosen):
            print(line, flush=True)
            if not held:
                failed += 1
                print("\n".join(output.splitlines()[-60:]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
