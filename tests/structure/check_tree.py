#!/usr/bin/env python3
"""Checks the tree's own structure: all rules, or those named. Prints file:line: rule for each fault."""

import argparse
import pathlib
import sys

sys.dont_write_bytecode = True

import chance
import classes
import contracts
import gates
import include_graph
import markers
import packages
import prose
import sizes
import sleeps
import surface

RULES = {
    "include_graph": include_graph.check,
    "chance": chance.check,
    "classes": classes.check,
    "contracts": contracts.check,
    "gates": gates.check,
    "sizes": sizes.check,
    "markers": markers.check,
    "packages": packages.check,
    "prose": prose.check,
    "sleeps": sleeps.check,
    "surface": surface.check,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("rules", nargs="*", metavar="rule", help=f"of: {', '.join(RULES)}")
    parser.add_argument("--list", action="store_true", help="print the counts of every class that has methods instead")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(classes.table(arguments.root)))
        return 0
    unknown = set(arguments.rules) - set(RULES)
    if unknown:
        parser.error(f"no rule {', '.join(sorted(unknown))}; there are {', '.join(RULES)}")
    count = 0
    for rule in arguments.rules or RULES:
        for fault in RULES[rule](arguments.root):
            print(fault)
            count += 1
    print(f"{count} faults" if count else "no faults")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
