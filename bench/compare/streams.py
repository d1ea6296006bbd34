#!/usr/bin/env python3
"""Streams, weft's and gRPC's side by side: messages and bytes a second, as a Markdown table.

    python3 bench/compare/streams.py --build build/release [--rounds 3] [--seconds 1]

Each round runs every system over every workload once; the table has the medians. weft's programs are
bench/stream_server and stream_client, gRPC's (synchronous API) bench/peers/grpc_stream.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys

from measurement import free_port

WAYS = {"down": "server to client", "up": "client to server", "both": "there and back"}
PAYLOADS = (32, 4096, 65536, 1048576)
STREAMS = (1, 8)


def programs(build):
    bench = os.path.join(build, "bench")
    return {
        "weft": (os.path.join(bench, "stream_server"), os.path.join(bench, "stream_client")),
        "grpc": (os.path.join(bench, "peers/grpc_stream/server"),
                 os.path.join(bench, "peers/grpc_stream/client")),
    }


def run(server, client, way, payload, streams, seconds):
    port = str(free_port())
    with subprocess.Popen([server, "--port", port], stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout.readline().strip() != "READY":
                sys.exit(f"{server} did not start")
            done = subprocess.run(
                [client, "--port", port, "--way", way, "--payload", str(payload), "--streams",
                 str(streams), "--seconds", str(seconds), "--warmup", "0.5"],
                capture_output=True, text=True, timeout=60 + seconds, check=True)
            return json.loads(done.stdout.splitlines()[-1])
        finally:
            process.send_signal(signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()
    systems = programs(args.build)
    cases = [(way, payload, streams) for way in WAYS for payload in PAYLOADS for streams in STREAMS]
    found = {(name, case): [] for name in systems for case in cases}
    for _ in range(args.rounds):
        for case in cases:
            for name, (server, client) in systems.items():
                found[name, case].append(run(server, client, *case, args.seconds))
    print("| way | payload, streams | weft messages/s | weft MB/s | gRPC messages/s | gRPC MB/s | × gRPC |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for case in cases:
        way, payload, streams = case
        rate = {name: statistics.median(r["messages_per_s"] for r in found[name, case])
                for name in systems}
        size = f"{payload:,} B" if payload < 1 << 20 else f"{payload >> 20} MiB"
        print(f"| {WAYS[way]} | {size}, {streams} "
              f"| {rate['weft']:,.0f} | {rate['weft'] * payload / 1e6:,.0f} "
              f"| {rate['grpc']:,.0f} | {rate['grpc'] * payload / 1e6:,.0f} "
              f"| {rate['weft'] / rate['grpc']:.2f} |")


if __name__ == "__main__":
    main()
