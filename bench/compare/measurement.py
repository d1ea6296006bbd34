"""One run of one system over one workload."""

import json
import math
import os
import random
import select
import signal
import socket
import subprocess
import tempfile
import time

from process_stats import Sample, peak_rss_mib

WARMUP = 1.0  # seconds
_READY_WITHIN = 20.0
_CLIENT_GRACE = 30.0  # seconds beyond warm-up and window
_DRAIN_WITHIN = 10.0
_CLIENT_FIELDS = ("qps", "p50_us", "p99_us", "p999_us", "ok", "err", "client_cpu_us")
_BLOCKS = "block_faults"  # of weft's client, and of its server on SIGUSR1, with --report-blocks


class RunFailed(Exception):
    """Why a run has no figures."""


def parse_client_line(text):
    """The figures in the last JSON line of what a client printed."""
    lines = [line for line in text.splitlines() if line.lstrip().startswith("{")]
    if not lines:
        raise RunFailed("the client printed no figures")
    try:
        figures = json.loads(lines[-1])
    except ValueError as error:
        raise RunFailed(f"the client's line is no JSON: {error}") from error
    result = {}
    for field in _CLIENT_FIELDS:
        value = figures.get(field)
        if isinstance(value, bool) or not isinstance(value, (int, float)) \
                or not math.isfinite(value):
            raise RunFailed(f"the client's line has no number {field}")
        result[field] = value
    if _BLOCKS in figures:
        result["client_block_faults"] = figures[_BLOCKS]
    return result


def _is_free(port):
    with socket.socket() as probe:
        # As a server does, so that connections of the last run in TIME_WAIT do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(count=1):
    """The first of so many ports that follow each other and nobody listens on, below those that the
    kernel deals out to clients."""
    while True:
        port = random.randint(20000, 29999 - count)
        if all(_is_free(port + i) for i in range(count)):
            return port


def server_command(system, workload, port, io=1, workers=2, more=()):
    return [system.server, "--port", str(port), "--io", str(io), "--workers", str(workers),
            *workload.server_args, *system.server_args, *more]


def client_command(system, workload, port, seconds, warmup=WARMUP, more=()):
    return [system.client, "--port", str(port), "--conns", str(workload.connections),
            "--inflight", str(workload.inflight), "--payload", str(workload.payload),
            "--seconds", str(seconds), "--warmup", str(warmup), *more]


def tail_of(file, length=300):
    """The end of what a process wrote to `file`, on one line."""
    file.seek(0)
    return " ".join(file.read().decode("utf-8", "replace").split())[-length:]


def wait_until_ready(server, errors):
    """Until the server says READY on its stdout; raises RunFailed if it does not."""
    readable, _, _ = select.select([server.stdout], [], [], _READY_WITHIN)
    line = server.stdout.readline() if readable else b""
    if line.strip() != b"READY":
        raise RunFailed(f"the server is not ready: {line!r} {tail_of(errors)}".rstrip())


def stop_server(server):
    """Asks the server to drain. Returns the fault of its ending, or None."""
    if server.poll() is not None:
        return f"the server ended by itself, status {server.returncode}"
    server.send_signal(signal.SIGTERM)
    try:
        status = server.wait(_DRAIN_WITHIN)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        return f"the server did not drain within {_DRAIN_WITHIN:.0f} s"
    return None if status == 0 else f"the server ended with status {status}"


def ask_block_faults(server):
    """Page faults that the new blocks of a server with --report-blocks have cost until now, at
    most."""
    server.send_signal(signal.SIGUSR1)
    line = server.stdout.readline()
    try:
        return json.loads(line)[_BLOCKS]
    except (ValueError, KeyError) as error:
        raise RunFailed(f"the server does not report its blocks: {line!r}") from error


def _run_client(command, pin, server, seconds, report_blocks=False):
    """The client's figures, and those /proc gives for both sides."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        client = subprocess.Popen(command, stdout=output, stderr=errors, preexec_fn=pin)
        started = time.monotonic()
        try:
            # Both samples lie inside the counted window. They give a rate, which is divided by the
            # rate of calls, so warm-up and connecting do not enter.
            rates = None
            try:
                time.sleep(WARMUP + 0.1 * seconds)
                before = Sample.of(server.pid), Sample.of(client.pid)
                blocks = ask_block_faults(server) if report_blocks else 0
                time.sleep(max(0.0, started + WARMUP + 0.9 * seconds - time.monotonic()))
                after = Sample.of(server.pid), Sample.of(client.pid)
                if report_blocks:
                    blocks = ask_block_faults(server) - blocks
                client_rss = peak_rss_mib(client.pid)
                rates = [now.rates_since(then) for then, now in zip(before, after)]
                faults = [now.faults_since(then) for then, now in zip(before, after)]
            except (OSError, ValueError):
                pass  # one of them is gone, which its status explains below
            try:
                status = client.wait(WARMUP + seconds + _CLIENT_GRACE)
            except subprocess.TimeoutExpired as error:
                raise RunFailed("the client did not end") from error
        finally:
            if client.poll() is None:
                client.kill()
                client.wait()
        output.seek(0)
        try:
            result = parse_client_line(output.read().decode("utf-8", "replace"))
        except RunFailed as error:
            raise RunFailed(f"{error} (status {status}) {tail_of(errors)}".rstrip()) from error
        if result["err"] != 0:
            raise RunFailed(f"{result['err']:.0f} failed calls beside {result['ok']:.0f} good ones "
                            f"{tail_of(errors)}".rstrip())
        if status != 0:
            raise RunFailed(f"the client ended with status {status} {tail_of(errors)}".rstrip())
        if result["qps"] <= 0:
            raise RunFailed("no call was completed")
        if rates is None:
            raise RunFailed("the processes could not be observed")
        (server_cpu, server_switches), (_, client_switches) = rates
        result["server_cpu_us"] = server_cpu * 1e6 / result["qps"]
        result["server_switches"] = server_switches / result["qps"]
        result["client_switches"] = client_switches / result["qps"]
        result["client_rss_mib"] = client_rss
        if report_blocks:
            result["server_block_faults"] = blocks / (0.8 * seconds) / result["qps"]
        result["server_faults"], result["client_faults"] = (
            rate / result["qps"] for rate in faults)
        return result


REPORT_BLOCKS = "--report-blocks"


def measure(system, workload, seconds, io=1, workers=2, server_args=(), client_args=()):
    """The figures of one run, or {"error": why there are none}. With REPORT_BLOCKS among the flags
    of both sides also the faults in weft's own blocks."""
    if system.missing:
        return {"error": f"not built: {system.missing}"}
    pin = None
    if workload.one_core:
        core = min(os.sched_getaffinity(0))
        pin = lambda: os.sched_setaffinity(0, {core})  # noqa: E731
    port = free_port()
    try:
        with tempfile.TemporaryFile() as errors:
            server = subprocess.Popen(
                server_command(system, workload, port, io, workers, server_args),
                stdout=subprocess.PIPE, stderr=errors, preexec_fn=pin)
            with server.stdout:
                ending = None
                try:
                    wait_until_ready(server, errors)
                    result = _run_client(
                        client_command(system, workload, port, seconds, more=client_args),
                        pin, server, seconds, REPORT_BLOCKS in server_args)
                    result["server_rss_mib"] = peak_rss_mib(server.pid)
                finally:
                    ending = stop_server(server)
                if ending:
                    raise RunFailed(f"{ending} {tail_of(errors)}".rstrip())
                return result
    except (RunFailed, OSError) as error:
        return {"error": str(error)}
