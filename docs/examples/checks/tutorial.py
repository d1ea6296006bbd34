#!/usr/bin/env python3
"""A page and its program say the same.

The page's proto blocks, joined, are the program's .proto file; its cpp blocks are main.cc; its last text block is what
the program prints, but for ports and times.

  tutorial.py check <page> <folder>            the sources
  tutorial.py run <page> <program>             what it prints
  tutorial.py extract <page> <proto> <main>    writes the sources
"""

import difflib
import pathlib
import subprocess
import sys

import pages


def differ(wanted, got, wanted_name, got_name):
    if wanted == got:
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(wanted.splitlines(True), got.splitlines(True), wanted_name, got_name))
    return 1


def check(page, folder):
    protos = list(folder.glob("*.proto"))
    if len(protos) != 1:
        sys.exit(f"{folder} has {len(protos)} .proto files, one is expected")
    bad = 0
    for language, source in (("proto", protos[0]), ("cpp", folder / "main.cc")):
        bad += differ(pages.program(page, language), source.read_text(encoding="utf-8"),
                      f"{page} ({language} blocks)", str(source))
    return bad


def run(page, program):
    done = subprocess.run([program], text=True, check=False, timeout=60, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{program} ended with {done.returncode} after:\n{done.stdout}")
    said = [block.text for block in pages.blocks(page) if block.language == "text"]
    if not said:
        sys.exit(f"{page} has no text block: what does the program print?")
    return differ(pages.same_but_for_numbers(said[-1]), pages.same_but_for_numbers(done.stdout),
                  f"{page} (last text block)", program)


def extract(page, proto, main):
    for language, file in (("proto", proto), ("cpp", main)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(pages.program(page, language), encoding="utf-8")
    return 0


def command(arguments):
    if len(arguments) == 3 and arguments[0] == "check":
        return check(pathlib.Path(arguments[1]), pathlib.Path(arguments[2]))
    if len(arguments) == 3 and arguments[0] == "run":
        return run(pathlib.Path(arguments[1]), arguments[2])
    if len(arguments) == 4 and arguments[0] == "extract":
        return extract(*(pathlib.Path(each) for each in arguments[1:]))
    return __doc__


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
