#!/usr/bin/env python3
"""Broadcasts to nine servers, weft's, gRPC's and Cap'n Proto's side by side, as Markdown tables.

    python3 bench/compare/broadcasts.py --build build/release [--rounds 3] [--seconds 1]
        [--payloads 32,4096] [--outstanding 1] [--servers 9] [--systems weft]

Ten processes, over TCP on 127.0.0.1: one sends the same request to nine servers, waits until all have
answered with it, and begins anew. weft's are nodes that all know each other (bench/broadcast_node.cc);
the rivals' a client with a connection to each of nine servers (bench/peers/<peer>/broadcast.cc).
`weft inline` runs its handlers on the I/O thread, as both rivals do.

Each round also measures one unary call of the same payload at `many` (compare.py): how a system's
broadcast compares with another's, beside how its calls do. Ratios are medians of the rounds' own; CPU
is that of all processes together.
"""

import argparse
import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time

from measurement import (WARMUP, RunFailed, free_port, measure, parse_client_line, stop_server, tail_of,
                         wait_until_ready)
from process_stats import cpu_clock_seconds
from workloads import WEFT, WORKLOADS, System, weft_programs

INLINE = "weft inline"
# The largest ratio of weft's broadcast to a rival's, in p50 and in CPU, and to the same ratio of a
# call.
AIMS = {"grpc_callback": 0.4, "capnp": 0.85}
AIM_TO_CALLS = 1.15
_CLIENT_GRACE = 30.0


@dataclasses.dataclass(frozen=True)
class Broadcaster:
    name: str
    serve: tuple  # the command of a server; `{place}` is its number, from 1 on, `{port}` its port
    client: str
    calls: System  # the same system's unary calls


def broadcasters(build):
    node = os.path.join(build, "bench", "broadcast_node")
    peers = os.path.join(build, "bench", "peers")
    found = []
    for name, more in ((WEFT, ()), (INLINE, ("--inline",))):
        serve = (node, "--serve", "{place}", "--port", "{first}", "--conns", "{servers}", *more)
        found.append(Broadcaster(name, serve, node, System(name, *weft_programs(build), more)))
    for name in AIMS:
        server, client, broadcast = (os.path.join(peers, name, program)
                                     for program in ("server", "client", "broadcast"))
        found.append(Broadcaster(name, (server, "--port", "{port}"), broadcast,
                                 System(name, server, client)))
    return {system.name: system for system in found}


def server_command(system, place, first, servers, io, workers):
    """Of server `place`, from 1 on; the ports follow each other from `first` on."""
    fields = {"place": place, "first": first, "port": first + place - 1, "servers": servers}
    return [word.format(**fields) for word in system.serve] + ["--io", str(io), "--workers", str(workers)]


def client_command(system, first, servers, payload, outstanding, seconds):
    return [system.client, "--port", str(first), "--conns", str(servers), "--inflight", str(outstanding),
            "--payload", str(payload), "--seconds", str(seconds), "--warmup", str(WARMUP)]


def _cpu_a_second(pids, client, started, seconds):
    """(of the servers, of the client): CPU seconds a second, inside the counted window."""
    def now():
        return (time.monotonic(), sum(cpu_clock_seconds(pid) for pid in pids), cpu_clock_seconds(client))

    time.sleep(WARMUP + 0.1 * seconds)
    before = now()
    time.sleep(max(0.0, started + WARMUP + 0.9 * seconds - time.monotonic()))
    after = now()
    return [(after[i] - before[i]) / (after[0] - before[0]) for i in (1, 2)]


def _run_client(command, pids, seconds):
    with tempfile.TemporaryFile() as errors:
        client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        started = time.monotonic()
        try:
            try:
                rates = _cpu_a_second(pids, client.pid, started, seconds)
            except OSError:
                rates = None  # one of them is gone, which its status explains below
            text, _ = client.communicate(timeout=seconds + _CLIENT_GRACE)
        except subprocess.TimeoutExpired as error:
            raise RunFailed("the client did not end") from error
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
        if client.returncode != 0 or rates is None:
            raise RunFailed(f"the client ended with status {client.returncode} {tail_of(errors)}")
    figures = parse_client_line(text.decode("utf-8", "replace"))
    servers, own = (rate * 1e6 / figures["qps"] for rate in rates)
    return {"per_s": figures["qps"], "p50_us": figures["p50_us"], "p99_us": figures["p99_us"],
            "servers_cpu_us": servers, "client_cpu_us": own, "cpu_us": servers + own}


def run(system, payload, args):
    """The figures of one run of broadcasts; raises RunFailed where there are none."""
    first = free_port(args.servers + 1)
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        processes, endings = [], []

        def stop(process):
            endings.append(stop_server(process))
            process.stdout.close()

        for place in range(1, args.servers + 1):
            command = server_command(system, place, first, args.servers, args.io, args.workers)
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
            processes.append(process)
            stack.callback(stop, process)
        for process in processes:
            wait_until_ready(process, errors)
        figures = _run_client(
            client_command(system, first, args.servers, payload, args.outstanding, args.seconds),
            [process.pid for process in processes], args.seconds)
    if any(endings):
        raise RunFailed("; ".join(filter(None, endings)))
    return figures


def run_calls(system, payload, args):
    workload = dataclasses.replace(WORKLOADS["many"], payload=payload)
    figures = measure(system.calls, workload, args.seconds, args.io, args.workers)
    if "error" in figures:
        raise RunFailed(figures["error"])
    return {"p50_us": figures["p50_us"], "cpu_us": figures["server_cpu_us"] + figures["client_cpu_us"]}


def ratio_of(rounds, others, figure):
    """One system's figure to another's: the median of the rounds' own ratios."""
    return statistics.median(one[figure] / other[figure] for one, other in zip(rounds, others))


def figures_table(found, payloads):
    columns = (("per_s", "broadcasts/s", "{:,.0f}"), ("p50_us", "p50 µs", "{:,.0f}"),
               ("p99_us", "p99 µs", "{:,.0f}"), ("client_cpu_us", "caller's CPU µs", "{:,.1f}"),
               ("servers_cpu_us", "servers' CPU µs", "{:,.1f}"), ("cpu_us", "CPU of all µs", "{:,.1f}"))
    lines = ["| payload | system |" + "".join(f" {heading} |" for _, heading, _ in columns),
             "|---|---|" + "---:|" * len(columns)]
    for payload in payloads:
        for name in dict.fromkeys(name for name, _ in found):
            rounds = found[name, payload]["broadcasts"]
            lines.append(f"| {payload:,} B | {name} |" + "".join(
                " " + form.format(statistics.median(figures[key] for figures in rounds)) + " |"
                for key, _, form in columns))
    return "\n".join(lines)


def ratios_table(found, payloads):
    """weft's rows to the rivals': broadcasts, calls at `many`, and the one to the other."""
    lines = ["| payload | ratio | of | broadcast | aim | one call at `many` | broadcast : call | aim | reached |",
             "|---|---|---|---:|---:|---:|---:|---:|---|"]
    names = list(dict.fromkeys(name for name, _ in found))
    for payload in payloads:
        for own in (name for name in names if name in (WEFT, INLINE)):
            for rival in (name for name in names if name in AIMS):
                for figure, title in (("p50_us", "p50"), ("cpu_us", "CPU of all ends")):
                    broadcast, call = (
                        ratio_of(found[own, payload][kind], found[rival, payload][kind], figure)
                        for kind in ("broadcasts", "calls"))
                    reached = broadcast <= AIMS[rival] and broadcast <= AIM_TO_CALLS * call
                    lines.append(
                        f"| {payload:,} B | {own} : {rival} | {title} | {broadcast:.3f} | {AIMS[rival]} | "
                        f"{call:.3f} | {broadcast / call:.2f} | {AIM_TO_CALLS} | "
                        f"{'yes' if reached else '**no**'} |")
    return "\n".join(lines)


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--payloads", default="32,4096")
    parser.add_argument("--outstanding", type=int, default=1, help="broadcasts under way")
    parser.add_argument("--servers", type=int, default=9)
    parser.add_argument("--io", type=int, default=1, help="I/O threads of a server")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--systems", help="of weft,weft inline,grpc_callback,capnp (default: all)")
    return parser.parse_args(arguments)


def main(arguments=None):
    args = parse_arguments(arguments)
    systems = broadcasters(args.build)
    if args.systems:
        systems = {name: systems[name] for name in args.systems.split(",")}
    payloads = [int(payload) for payload in args.payloads.split(",")]
    found = {(name, payload): {"broadcasts": [], "calls": []}
             for payload in payloads for name in systems}
    for number in range(args.rounds):
        order = list(systems.values())
        first = number % len(order)
        for payload in payloads:
            for kind, measured in (("broadcasts", run), ("calls", run_calls)):
                for system in order[first:] + order[:first]:
                    try:
                        found[system.name, payload][kind].append(measured(system, payload, args))
                    except (RunFailed, OSError) as error:
                        sys.exit(f"{system.name}, {kind} of {payload} B: {error}")
    print(f"{args.servers} servers, {args.outstanding} broadcast(s) under way; medians of "
          f"{args.rounds} round(s) of {args.seconds:g} s.\n")
    print(figures_table(found, payloads) + "\n")
    print(ratios_table(found, payloads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
