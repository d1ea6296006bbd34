#!/usr/bin/env python3
"""Counts the system calls of a server and its client for each RPC, and prints markdown rows.

Each side runs under `strace -c -f`, twice: for a short and for a longer time. The longer run's
surplus of system calls is divided by its surplus of RPCs, so starting, connecting and stopping do
not enter.
Under strace everything is slower and batches differ: read these as numbers of calls, not as speed.

    bench/strace_per_call.py --case mux --peers weft,raw,grpc_sync --header
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "bench", "compare"))

import measurement  # noqa: E402
from workloads import PEERS, WORKLOADS, systems_for  # noqa: E402

SHOWN = 5  # kinds of system call in a row


def parse_summary(text):
    """{name: count} out of what `strace -c` prints."""
    counts = {}
    for line in text.splitlines():
        fields = line.split()
        # % time, seconds, usecs/call, calls, [errors,] syscall
        if len(fields) not in (5, 6) or not fields[3].isdigit() or fields[-1] == "total":
            continue
        counts[fields[-1]] = counts.get(fields[-1], 0) + int(fields[3])
    return counts


def per_call(short, long):
    """{name: count for each RPC} from two runs, each (counts, RPCs); rare ones are left out."""
    (few, few_calls), (many, many_calls) = short, long
    calls = many_calls - few_calls
    if calls <= 0:
        raise measurement.RunFailed("the longer run made no more calls than the short one")
    rates = {name: (count - few.get(name, 0)) / calls for name, count in many.items()}
    return {name: rate for name, rate in rates.items() if rate >= 0.001}


def cell(rates):
    names = sorted(rates, key=rates.get, reverse=True)
    shown = ", ".join(f"{name} {rates[name]:.2f}" for name in names[:SHOWN] if rates[name] >= 0.005)
    return f"{sum(rates.values()):.2f}" + (f" ({shown})" if shown else "")


def traced(command, summary):
    return ["strace", "-c", "-f", "-o", summary, *command]


def child_of(pid):
    """The one process that strace started; None once it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def stop(tracer):
    """Ends the server: strace ignores SIGTERM, and writes its summary when its child is gone."""
    for how, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        server = child_of(tracer.pid) if tracer.poll() is None else None
        if server is not None:
            os.kill(server, how)
        try:
            return tracer.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    tracer.kill()
    return tracer.wait()


def run_once(system, workload, pin, seconds, options, folder):
    """(system calls of the server, of the client, RPCs)."""
    port = measurement.free_port()
    summaries = [os.path.join(folder, side) for side in ("server", "client")]
    with tempfile.TemporaryFile() as errors:
        tracer = subprocess.Popen(
            traced(measurement.server_command(system, workload, port, more=options.server_args),
                   summaries[0]),
            stdout=subprocess.PIPE, stderr=errors, preexec_fn=pin)
        with tracer.stdout:
            try:
                measurement.wait_until_ready(tracer, errors)
                client = subprocess.run(
                    traced(measurement.client_command(system, workload, port, seconds, 0,
                                                      options.client_args), summaries[1]),
                    capture_output=True, text=True, timeout=seconds + 60, preexec_fn=pin,
                    check=False)
            except subprocess.TimeoutExpired as error:
                raise measurement.RunFailed("the client did not end") from error
            finally:
                stop(tracer)
    try:
        figures = measurement.parse_client_line(client.stdout)
    except measurement.RunFailed as error:
        raise measurement.RunFailed(f"{error}: {client.stderr.strip()[-300:]}") from error
    if figures["err"] or client.returncode:
        raise measurement.RunFailed(f"{figures['err']} failed calls, status {client.returncode}")
    counts = []
    for summary in summaries:
        with open(summary, encoding="utf-8") as file:
            counts.append(parse_summary(file.read()))
    return counts[0], counts[1], figures["ok"]


def row(system, workload, options):
    pin = None
    if workload.one_core:
        core = min(os.sched_getaffinity(0))
        pin = lambda: os.sched_setaffinity(0, {core})  # noqa: E731
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seconds in (options.seconds / 4, options.seconds):
            runs.append(run_once(system, workload, pin, seconds, options, folder))
            time.sleep(0.1)
    (short_server, short_client, short_calls), (long_server, long_client, long_calls) = runs
    server = per_call((short_server, short_calls), (long_server, long_calls))
    client = per_call((short_client, short_calls), (long_client, long_calls))
    return f"| {workload.name} | {system.name} | {cell(server)} | {cell(client)} |"


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    parser.add_argument("--case", choices=list(WORKLOADS), default="mux")
    parser.add_argument("--peers", default="weft", help=f"of {','.join(PEERS)}")
    parser.add_argument("--seconds", type=float, default=4.0, help="of the longer run")
    parser.add_argument("--server-args", type=shlex.split, default=[], metavar="ARGS")
    parser.add_argument("--client-args", type=shlex.split, default=[], metavar="ARGS")
    parser.add_argument("--header", action="store_true", help="print the table's heading first")
    options = parser.parse_args()
    options.peers = options.peers.split(",")
    for peer in options.peers:
        if peer not in PEERS:
            parser.error(f"{peer!r} is none of {', '.join(PEERS)}")
    if options.seconds < 0.5:
        parser.error("--seconds is less than 0.5")
    return options


def main():
    options = parse_arguments()
    workload = WORKLOADS[options.case]
    if options.header:
        print("| case | system | server, system calls a call | client, system calls a call |")
        print("|---|---|---|---|")
    status = 0
    for system in systems_for(workload, options.peers, options.build):
        try:
            if system.missing:
                raise measurement.RunFailed(f"not built: {system.missing}")
            print(row(system, workload, options), flush=True)
        except (measurement.RunFailed, OSError) as error:
            print(f"| {workload.name} | {system.name} | error: {error} | |", flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
