"""The workloads that are measured, and the systems that do the work."""

import dataclasses
import os


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    shows: str  # what is special about it; short enough for a panel of the chart
    connections: int
    inflight: int  # calls out on each connection
    payload: int  # bytes
    metric: str = "qps"  # the figure by which systems are ranked
    server_args: tuple = ()
    one_core: bool = False  # both sides pinned to the same one

    @property
    def higher_is_better(self):
        return self.metric == "qps"


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("latency", "1 caller, 32 B, on cores of the kernel's choice",
                 1, 1, 32, metric="p50_us"),
        Workload("onecore", "1 caller, 32 B, both sides on one core",
                 1, 1, 32, metric="p50_us", one_core=True),
        Workload("mux", "1 connection × 64 calls in flight, 32 B", 1, 64, 32),
        Workload("fan", "16 connections × 16 calls in flight, 32 B", 16, 16, 32),
        Workload("deep", "4 connections × 256 calls in flight, 32 B", 4, 256, 32),
        Workload("many", "256 connections × 1 call in flight, 32 B", 256, 1, 32),
        Workload("page", "16 connections × 4 calls in flight, 4 KiB", 16, 4, 4096),
        Workload("block", "4 connections × 2 calls in flight, 64 KiB", 4, 2, 64 << 10),
        Workload("bulk", "2 connections × 2 calls in flight, 1 MiB", 2, 2, 1 << 20),
        Workload("huge", "2 connections × 1 call in flight, 8 MiB", 2, 1, 8 << 20),
        Workload("hol", "4 connections × 8 calls, 1 in 100 blocks 5 ms",
                 4, 8, 32, server_args=("--sleep-every", "100", "--sleep-us", "5000")),
    )
}

WEFT = "weft"
BEFORE = "before"  # behind the name of a row: weft's programs of another build
CEILING = "raw"  # no RPC system: what the sockets themselves can do
RIVALS = ("grpc_sync", "grpc_callback", "thrift", "capnp")
PEERS = (WEFT, CEILING) + RIVALS

# weft runs once more where another of its modes is the answer to the workload.
WEFT_VARIANTS = {
    "onecore": ("weft inline", ("--inline",)),
    "hol": ("weft elastic", ("--max-workers", "16")),
}


@dataclasses.dataclass(frozen=True)
class System:
    name: str  # of the row
    server: str  # executables
    client: str
    server_args: tuple = ()

    @property
    def is_weft(self):
        return is_weft(self.name)

    @property
    def missing(self):
        """The first executable that is not there, or None."""
        for program in (self.server, self.client):
            if not os.access(program, os.X_OK):
                return program
        return None


def is_weft(name):
    return name.split()[0] == WEFT


def is_rival(name):
    return not is_weft(name) and name != CEILING


def before(name):
    """The row of the other build that a row of weft's is compared with."""
    return f"{name} {BEFORE}"


def systems_for(workload, peers, build, against=None):
    """The rows of a workload: the peers, in their order, and weft's variant after weft. With
    `against`, another build's folder, each row of weft's has that build's behind it."""
    systems = []
    for peer in peers:
        if peer != WEFT:
            folder = os.path.join(build, "bench", "peers", peer)
            systems.append(System(peer, os.path.join(folder, "server"),
                                  os.path.join(folder, "client")))
            continue
        rows = [(WEFT, ())]
        if workload.name in WEFT_VARIANTS:
            rows.append(WEFT_VARIANTS[workload.name])
        for name, more in rows:
            systems.append(System(name, *weft_programs(build), server_args=more))
            if against:
                systems.append(System(before(name), *weft_programs(against), server_args=more))
    return systems


def weft_programs(build):
    return [os.path.join(build, "bench", "echo_" + side) for side in ("server", "client")]
