#!/usr/bin/env python3
"""Streams, weft's and gRPC's side by side: messages and bytes a second, as a Markdown table.

    python3 bench/compare/streams.py --build build/release [--rounds 3] [--seconds 1] [--systems weft]

Each round runs every system over every workload once; the table has the medians. weft's programs are
bench/stream_server and stream_client, gRPC's (synchronous API) bench/peers/grpc_stream.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

from measurement import RunFailed, free_port, stop_server, tail_of, wait_until_ready

WAYS = {"down": "server to client", "up": "client to server", "both": "there and back"}
PAYLOADS = (32, 4096, 65536, 1048576)
STREAMS = (1, 8)


def weft_programs(build):
    return tuple(os.path.join(build, "bench", "stream_" + side) for side in ("server", "client"))


def programs(build, against=None):
    peer = os.path.join(build, "bench", "peers", "grpc_stream")
    systems = {"weft": weft_programs(build)}
    if against:
        systems["before"] = weft_programs(against)
    return systems | {"grpc": (os.path.join(peer, "server"), os.path.join(peer, "client"))}


def ratio_of(rounds, name, reference):
    """Messages a second of one system to another's: the median of the rounds' own ratios."""
    return statistics.median(
        one["messages_per_s"] / max(other["messages_per_s"], 1e-9)
        for one, other in zip(rounds[name], rounds[reference]))


def run(server, client, way, payload, streams, seconds, warmup):
    """The figures of one run; raises RunFailed where there are none."""
    port = str(free_port())
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([server, "--port", port], stdout=subprocess.PIPE, stderr=errors)
        with process.stdout:
            try:
                wait_until_ready(process, errors)
                done = subprocess.run(
                    [client, "--port", port, "--way", way, "--payload", str(payload), "--streams",
                     str(streams), "--seconds", str(seconds), "--warmup", str(warmup)],
                    capture_output=True, text=True, timeout=60 + seconds)
            except subprocess.TimeoutExpired as error:
                raise RunFailed("the client did not end") from error
            finally:
                ending = stop_server(process)
            if done.returncode != 0:
                raise RunFailed(f"the client ended with status {done.returncode} "
                                f"{done.stdout[-300:]} {done.stderr[-300:]}".rstrip())
            if ending:
                raise RunFailed(f"{ending} {tail_of(errors)}".rstrip())
            return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--systems", default="weft,grpc")
    parser.add_argument("--against", metavar="DIR",
                        help="another build's folder, whose programs run in the same rounds")
    args = parser.parse_args()
    wanted = args.systems.split(",") + (["before"] if args.against else [])
    systems = {name: both for name, both in programs(args.build, args.against).items()
               if name in wanted}
    cases = [(way, payload, streams) for way in WAYS for payload in PAYLOADS for streams in STREAMS]
    found = {(name, case): [] for name in systems for case in cases}
    for _ in range(args.rounds):
        for case in cases:
            for name, (server, client) in systems.items():
                try:
                    measured = run(server, client, *case, args.seconds, args.warmup)
                except (RunFailed, OSError) as error:
                    sys.exit(f"{name}, {case}: {error}")
                found[name, case].append(measured)
    columns = "".join(f" {name} messages/s | {name} MB/s |" for name in systems)
    compared = [name for name in ("grpc", "before") if {"weft", name} <= systems.keys()]
    print(f"| way | payload, streams |{columns}" + "".join(f" × {name} |" for name in compared))
    print("|---|---|" + "---:|" * (2 * len(systems) + len(compared)))
    for case in cases:
        way, payload, streams = case
        rate = {name: statistics.median(r["messages_per_s"] for r in found[name, case])
                for name in systems}
        size = f"{payload:,} B" if payload < 1 << 20 else f"{payload >> 20} MiB"
        figures = "".join(f" {rate[name]:,.0f} | {rate[name] * payload / 1e6:,.0f} |"
                          for name in systems)
        rounds = {name: found[name, case] for name in systems}
        ratios = "".join(f" {ratio_of(rounds, 'weft', name):.2f} |" for name in compared)
        print(f"| {WAYS[way]} | {size}, {streams} |{figures}{ratios}")


if __name__ == "__main__":
    main()
