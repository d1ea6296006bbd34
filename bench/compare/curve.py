#!/usr/bin/env python3
"""Measures what a byte costs, by the size of its message, to find sizes that are slow.

    python3 bench/compare/curve.py --build build/release [--against DIR] [--shapes 1x1,2x2]

Sizes double from 32 B up to 60 MiB. For each: calls a second, CPU of both sides a call and a byte,
and that to half the size ("step": 1 where twice the bytes cost twice as much, so more than 1.5 is a
cliff). Page faults a call are those of the whole process, most of them in the user's strings, and
beside them those in weft's own blocks, which is the pages of the blocks that were new.

With --against the other build runs in the same rounds; old builds do not tell their blocks.
"""

import argparse
import statistics
import sys

from measurement import REPORT_BLOCKS, measure
from workloads import System, Workload, weft_programs

MOST = 60 << 20
SIZES = tuple(32 << power for power in range(21)) + (MOST,)
STEP = 1.5
BLOCK_FAULTS = 0.1
STEADY = 8 << 20  # up to here blocks are used again in any case


def size_text(size):
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} B"


def shape_of(text):
    connections, _, inflight = text.partition("x")
    return int(connections), int(inflight)


def median_of(rounds, figure):
    found = [figure(figures) for figures in rounds if "error" not in figures]
    return statistics.median(found) if found else None


def cpu_a_byte(rounds, size):
    """Nanoseconds of both sides' CPU for each byte of the payload; None without figures."""
    return median_of(rounds, lambda f: (f["server_cpu_us"] + f["client_cpu_us"]) * 1e3 / size)


def steps(costs):
    """Each cost to that of the size before; None where one is missing."""
    return [None] + [now / then if now and then else None
                     for then, now in zip(costs, costs[1:])]


def block_faults(rounds):
    return median_of(rounds, lambda f: f.get("server_block_faults", 0) +
                     f.get("client_block_faults", 0))


def cliffs(sizes, costs, faults):
    """Returns the sizes that are beyond the bounds, as lines of text."""
    found = []
    for size, step, fault in zip(sizes, steps(costs), faults):
        if step is not None and step > STEP:
            found.append(f"{size_text(size)}: a byte costs {step:.2f} times what it does at half "
                         "the size")
        if fault is not None and size <= STEADY and fault > BLOCK_FAULTS:
            found.append(f"{size_text(size)}: {fault:.2f} faults a call in new blocks")
    return found


def cell(form, value):
    return form.format(value) if value is not None else "–"


def row(size, rounds, step, other):
    cpu = cpu_a_byte(rounds, size)
    cells = [size_text(size), cell("{:,.0f}", median_of(rounds, lambda f: f["qps"])),
             cell("{:,.1f}", cpu * size / 1e3 if cpu else None), cell("{:.3f}", cpu),
             cell("{:.2f}", step),
             cell("{:.2f}", median_of(rounds, lambda f: f["server_faults"])),
             cell("{:.2f}", median_of(rounds, lambda f: f["client_faults"])),
             cell("{:.3f}", block_faults(rounds))]
    if other is not None:
        pairs = [(now, then) for now, then in zip(rounds, other)
                 if "error" not in now and "error" not in then]
        cells.append(cell("{:.2f}", statistics.median(now["qps"] / then["qps"]
                                                      for now, then in pairs) if pairs else None))
        then_cpu = cpu_a_byte(other, size)
        cells.append(cell("{:.2f}", cpu / then_cpu if cpu and then_cpu else None))
    return "| " + " | ".join(cells) + " |"


HEADINGS = ("payload", "calls/s", "CPU µs/call", "CPU ns/byte", "step", "server faults/call",
            "client faults/call", "in own blocks")
AGAINST = ("calls/s, × before", "CPU, × before")


def table(sizes, rounds, others):
    headings = HEADINGS + (AGAINST if others else ())
    costs = [cpu_a_byte(rounds[size], size) for size in sizes]
    lines = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    for size, step in zip(sizes, steps(costs)):
        lines.append(row(size, rounds[size], step, others[size] if others else None))
    lines += ["", *(cliffs(sizes, costs, [block_faults(rounds[size]) for size in sizes]) or
                    ["No cliff."])]
    return "\n".join(lines)


def run(shape, sizes, options):
    rounds = {size: [] for size in sizes}
    others = {size: [] for size in sizes} if options.against else None
    for _ in range(options.rounds):
        for size in sizes:
            workload = Workload("curve", "", *shape, size)
            flags = (REPORT_BLOCKS,)
            rounds[size].append(measure(System("weft", *weft_programs(options.build)), workload,
                                        options.seconds, server_args=flags, client_args=flags))
            if others is not None:
                others[size].append(measure(System("before", *weft_programs(options.against)),
                                            workload, options.seconds))
            for figures in (rounds[size][-1], *(others[size][-1:] if others else ())):
                if "error" in figures:
                    print(f"{size_text(size)}: {figures['error'][:300]}", file=sys.stderr)
    return rounds, others


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--against", metavar="DIR")
    parser.add_argument("--shapes", default="1x1,2x2", help="connections x calls in flight on each")
    parser.add_argument("--sizes", help="instead of all: bytes, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args(arguments)
    sizes = tuple(int(size) for size in options.sizes.split(",")) if options.sizes else SIZES
    for text in options.shapes.split(","):
        rounds, others = run(shape_of(text), sizes, options)
        print(f"\n### {text.replace('x', ' × ')}\n\n{table(sizes, rounds, others)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
