"""Streams on connections that are left, and beside small calls."""

import time


def Case04_stream_on_the_connection_that_loses(case):
    """A long stream runs while another connection takes the place of its own: it comes whole, and that one ends."""
    pieces, size = 640, 65536
    mesh = case.mesh(2)
    a, b = (mesh.nodes.setdefault(name, mesh.make(name)) for name in "ab")
    # a's dial is in the network until b's has connected; then both are there, and a's, the smaller name's, stays.
    b.machine.nft("tcp dport 7000 tcp flags & (syn | ack) == syn counter drop")
    b.machine.slow_down("100mbit", "30ms")
    a.tell("start")
    mesh.wait_started(a)
    mesh.wait(lambda: b.machine.packets() > 0, "a dials")
    b.tell("start")
    mesh.wait_states({"a": "up", "b": "up"})
    first = mesh.pairs()
    a.tell("snapshot", "s", "b", pieces, size)
    mesh.wait(lambda: b.of("ran"), "the stream begins")
    calls = [a.call("b", timeout=30) for _ in range(200)]
    b.machine.heal()
    end = mesh.wait(lambda: a.of("snapshot"), "the stream ends")[0]
    case.want(end["code"] == "OK" and end["bytes"] == pieces * size, f"the stream: {end}")
    began = time.monotonic()
    mesh.wait_whole()
    case.want(mesh.pairs() != first, "no other connection was made")
    for call in calls:
        ended = mesh.wait(lambda: a.end_of(call), "a call ends")
        case.want(ended["code"] == "OK", f"a call: {ended}")
    for node, peer in ((a, "b"), (b, "a")):
        states = [event["state"] for event in node.events("peer", peer)]
        case.want(states == ["up"], f"{node.name} says of {peer}: {states}")
    case.figure(f"the loser is gone {time.monotonic() - began:.2f} s after the stream's end")
    mesh.judge_calls(codes=("OK",))


def Case24_stop_beside_a_stream(case):
    """A node is stopped while it sends a long stream: the stream comes whole before the node goes."""
    pieces, size = 320, 65536
    mesh = case.mesh(3)
    mesh.start_all()
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    b.machine.slow_down("100mbit", "30ms")
    a.tell("snapshot", "s", "b", pieces, size)
    mesh.wait(lambda: b.of("ran"), "the stream begins")
    b.tell("stop", 30000)
    end = mesh.wait(lambda: a.of("snapshot"), "the stream ends")[0]
    case.want(end["code"] == "OK" and end["bytes"] == pieces * size, f"the stream: {end}")
    mesh.wait(lambda: not b.lives, "b has stopped")
    stopped = b.of("stopped")[0]["t"]
    case.figure(f"b has stopped {(stopped - end['t']) * 1e3:.0f} ms after the stream's end")


def Case15_snapshot_beside_urgent_calls(case):
    """200 MB at 100 Mbit/s beside 100 calls a second on the same connection: none is suspect, none fails."""
    pieces, size = 3200, 65536
    mesh = case.mesh(3)
    mesh.start_all()
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    b.machine.slow_down("100mbit", "30ms")
    before = mesh.pairs()
    since = time.monotonic()
    a.tell("snapshot", "s", "b", pieces, size)
    mesh.wait(lambda: b.of("ran"), "the snapshot begins")
    # To b and c in turn: a hundred a second to each.
    mesh.load(200, nodes=[a])
    end = mesh.wait(lambda: a.of("snapshot"), "the snapshot is there", patience=120)[0]
    mesh.load(0, nodes=[a])
    mesh.settle_calls()
    case.want(end["code"] == "OK" and end["bytes"] == pieces * size, f"the snapshot: {end}")
    took = end["t"] - b.of("ran")[0]["t"]
    for node in mesh.living():
        events = node.events("peer", since=since)
        case.want(not events, f"{node.name} tells of {events}")
    case.want(mesh.pairs() == before, "another connection than before")
    for peer in "bc":
        calls = sorted(line["took"] for line in a.of("end") if line["to"] == peer and line["t"] < end["t"])
        case.figure(f"{len(calls)} calls to {peer}: p50 {calls[len(calls) // 2] * 1e3:.1f} ms, "
                    f"p99 {calls[len(calls) * 99 // 100] * 1e3:.1f} ms, most {calls[-1] * 1e3:.1f} ms")
    case.figure(f"{end['bytes'] / 1e6:.0f} MB in {took:.1f} s: {end['bytes'] * 8 / took / 1e6:.0f} Mbit/s")
    mesh.judge_calls(codes=("OK",))


Case15_snapshot_beside_urgent_calls.seconds = 22
