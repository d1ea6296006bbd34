#!/usr/bin/env python3
"""Runs weft and its rivals side by side over the same workloads, and prints a table of each.

Rounds are interleaved: each system once, then each once more, beginning with another one. So what
else the machine does falls on all alike, and medians are shown.

Every table ranks by one figure: p50 in latency and onecore, calls a second elsewhere. The last two
columns say how many times as good a row is as `raw`, the bare sockets, and as the best rival.

Exit status 1 if any run of any system failed or had a failed call; its row says so.
"""

import argparse
import json
import os
import shlex
import sys

import chart
import machine
import results as results_of
from measurement import measure
from workloads import PEERS, WEFT, WORKLOADS, systems_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _names(known):
    def parse(text):
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return list(dict.fromkeys(names))
    return parse


def _at_least(number, kind):
    def parse(text):
        value = kind(text)
        if value < number:
            raise argparse.ArgumentTypeError(f"{text} is less than {number}")
        return value
    parse.__name__ = kind.__name__
    return parse


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"),
                        help="folder with bench/echo_server, bench/echo_client and "
                             "bench/peers/<peer>/ (default: build/release)")
    parser.add_argument("--against", metavar="DIR",
                        help="another build's folder: its weft runs in the same rounds, and a table "
                             "of ratios follows")
    parser.add_argument("--peers", type=_names(PEERS),
                        help=f"of {','.join(PEERS)} (default: weft and all that are built)")
    parser.add_argument("--cases", type=_names(WORKLOADS), default=list(WORKLOADS),
                        help=f"of {','.join(WORKLOADS)} (default: all)")
    parser.add_argument("--rounds", type=_at_least(1, int), default=3)
    parser.add_argument("--seconds", type=_at_least(0.5, float), default=3.0,
                        help="counted seconds of a run, after one second of warm-up")
    parser.add_argument("--io", type=_at_least(1, int), default=1, help="I/O threads of a server")
    parser.add_argument("--workers", type=_at_least(1, int), default=2)
    parser.add_argument("--server-args", type=shlex.split, default=[], metavar="ARGS",
                        help="more flags for every server, in one word; rivals ignore weft's own")
    parser.add_argument("--client-args", type=shlex.split, default=[], metavar="ARGS",
                        help="the same for every client: --client-args='--protocol grpc'")
    parser.add_argument("--json", metavar="FILE", help="write every round's figures")
    parser.add_argument("--svg", metavar="FILE", help="write a chart")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables")
    return parser.parse_args(arguments)


def choose_peers(options):
    """(peers to run, peers left out because they are not built)."""
    if options.peers:
        return options.peers, []
    any_workload = next(iter(WORKLOADS.values()))
    # weft stays in either way: a comparison without it is an error to be shown.
    absent = [system.name for system in systems_for(any_workload, PEERS, options.build)
              if system.missing and system.name != WEFT]
    return [peer for peer in PEERS if peer not in absent], absent


def run_workload(workload, peers, options):
    systems = systems_for(workload, peers, options.build, options.against)
    rounds = {system.name: [] for system in systems}
    for number in range(options.rounds):
        first = number % len(systems)
        for system in systems[first:] + systems[:first]:
            if sys.stderr.isatty():
                print(f"\r\033[K{workload.name} {number + 1}/{options.rounds}: {system.name}",
                      end="", file=sys.stderr, flush=True)
            rounds[system.name].append(
                measure(system, workload, options.seconds, options.io, options.workers,
                        options.server_args, options.client_args))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return results_of.summary_of(workload, rounds)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(arguments=None):
    options = parse_arguments(arguments)
    peers, not_built = choose_peers(options)
    if not_built:
        print(f"not built, so left out: {', '.join(not_built)} (configure with "
              "-DWEFT_BUILD_PEERS=ON)", file=sys.stderr)
    results = {
        "machine": machine.describe(options.build),
        "settings": {
            "rounds": options.rounds, "seconds": options.seconds,
            "io": options.io, "workers": options.workers,
            "server_args": options.server_args, "client_args": options.client_args,
            "not_built": not_built, "against": options.against,
        },
        "workloads": {},
    }
    print(results_of.machine_line(results["machine"]))
    for name in options.cases:
        summary = run_workload(WORKLOADS[name], peers, options)
        results["workloads"][name] = summary
        print("\n" + results_of.text_table(name, summary), flush=True)
        # After each workload, so that an interrupted comparison leaves what it has.
        if options.json:
            write(options.json, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if options.against:
        print("\n" + results_of.against_table(results), flush=True)
    if options.markdown:
        write(options.markdown, results_of.markdown(results))
    if options.svg:
        write(options.svg, chart.render(results))
    return 1 if results_of.has_errors(results) else 0


if __name__ == "__main__":
    sys.exit(main())
