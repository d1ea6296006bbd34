#!/usr/bin/env python3
"""Counts weft's heap allocations for each call, of server and client, under valgrind.

usage: bench/allocations_per_call.py [--build DIR] [--conns C] [--inflight K] [--payload BYTES] [--header]

Each side runs under valgrind twice, for different lengths; the difference of its allocations divided by the difference
of its calls leaves out starting and stopping. Prints one row of a markdown table.
"""

import argparse
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys

VALGRIND = ["valgrind", "--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def allocations(text):
    found = re.search(r"total heap usage: ([\d,]+) allocs", text)
    if not found:
        sys.exit("valgrind printed no heap usage:\n" + text[-2000:])
    return int(found.group(1).replace(",", ""))


def run(build, side, seconds, options):
    """Allocations of `side` and the calls it saw, over a run of so many seconds."""
    port = free_port()
    server_wrap = VALGRIND if side == "server" else []
    client_wrap = VALGRIND if side == "client" else []
    server = subprocess.Popen(
        server_wrap + [f"{build}/bench/echo_server", "--port", str(port), "--io", "1", "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if "READY" not in server.stdout.readline():
        sys.exit("the server did not start")
    client = subprocess.run(
        client_wrap + [f"{build}/bench/echo_client", "--port", str(port), "--conns", str(options.conns), "--inflight",
                       str(options.inflight), "--payload", str(options.payload), "--seconds", str(seconds), "--warmup",
                       "0"], capture_output=True, text=True, timeout=seconds + 120, check=True)
    server.send_signal(signal.SIGTERM)
    _, errors = server.communicate(timeout=60)
    calls = int(re.search(r": (\d+) calls", errors).group(1))
    if json.loads(client.stdout.splitlines()[-1])["err"] != 0:
        sys.exit("calls failed")
    return allocations(errors if side == "server" else client.stderr), calls


def per_call(build, side, options):
    few, few_calls = run(build, side, 1, options)
    many, many_calls = run(build, side, 4, options)
    return (many - few) / (many_calls - few_calls)  # a hair below zero is zero


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=str(pathlib.Path(__file__).resolve().parent.parent / "build/release"))
    parser.add_argument("--conns", type=int, default=1)
    parser.add_argument("--inflight", type=int, default=1)
    parser.add_argument("--payload", type=int, default=32)
    parser.add_argument("--header", action="store_true", help="print the table's head too")
    options = parser.parse_args()
    if options.header:
        print("| connections x in flight, payload | server allocations a call | client allocations a call |")
        print("|---|---|---|")
    server = per_call(options.build, "server", options)
    client = per_call(options.build, "client", options)
    print(f"| {options.conns} x {options.inflight}, {options.payload} B | {max(server, 0):.2f} | {max(client, 0):.2f} |")


if __name__ == "__main__":
    main()
