"""Cables that are pulled, partitions of both kinds, and nodes that only new connections do not reach."""

import concurrent.futures
import time

NEW_CONNECTIONS = "tcp flags & (syn | ack) == syn counter drop"


def _no_others(mesh, case, since, about):
    """No node has told anything of a pair that is whole. `about`(one, other): the fault is theirs."""
    for node in mesh.living():
        for event in node.events("peer", since=since):
            if event["peer"] in mesh.nodes and not about(node.name, event["peer"]):
                case.want(False, f"{node.name} told of {event['peer']}, which was well: {event}")


def _times(mesh, node, peer, since):
    return {state: [event["t"] - since for event in node.events("peer", peer, state, since=since)][:1]
            for state in ("suspect", "down", "up")}


def _pulled(case, mesh, busy, apart):
    """b's cable is pulled and, `apart` seconds after all say down, plugged in again."""
    victim = mesh.nodes["b"]
    others = [node for node in mesh.living() if node is not victim]
    calls = []
    if busy:
        mesh.load(40)
        mesh.wait(lambda: all(len(node.of("end")) > 20 for node in mesh.living()), "load runs")
        calls = [(node, node.call("b", timeout=60, size=2 << 20)) for node in others]
    pulled = time.monotonic()
    mesh.network.pull(victim.machine)
    pairs = [(node, "b") for node in others] + [(victim, node.name) for node in others]
    for node, peer in pairs:
        mesh.wait_event(node, since=pulled, kind="peer", peer=peer, state="down")
    time.sleep(apart)  # the fault's own length
    plugged = time.monotonic()
    mesh.network.plug(victim.machine)
    mesh.wait_states({name: "up" for name in mesh.names})
    mesh.wait_whole()
    if busy:
        mesh.load(0)
        mesh.settle_calls()
    suspects, downs, ups = [], [], []
    for node, peer in pairs:
        events = node.events("peer", peer, since=pulled)
        states = [event["state"] for event in events]
        case.want(states[:2] == ["suspect", "down"], f"{node.name} says of {peer}: {states}")
        suspects += [event["t"] - pulled for event in events if event["state"] == "suspect"][:1]
        downs += [event["t"] - pulled for event in events if event["state"] == "down"][:1]
        ups += [event["t"] - plugged for event in events if event["state"] == "up"][-1:]
    _no_others(mesh, case, pulled, lambda one, other: "b" in (one, other))
    case.figure(f"{'busy' if busy else 'idle'}: suspect after {mesh.spread(suspects)}, down after {mesh.spread(downs)}, "
                f"up {mesh.spread(ups)} after the cable, which was out for {plugged - pulled:.1f} s")
    for node, call in calls:
        end = node.end_of(call)
        case.want(end is not None and (end["code"] == "OK" or end["may_have_run"]), f"a call in the cut cable: {end}")
    return ups


def Case12_cable_pulled_idle(case):
    """A cable is pulled where nothing is said: suspect, down, and up soon after it is back."""
    mesh = case.mesh(10)
    mesh.start_all()
    _pulled(case, mesh, busy=False, apart=0)
    mesh.judge_calls()


def Case12_cable_pulled_busy(case):
    """A cable is pulled under load with data in flight: calls may have been executed, none twice."""
    mesh = case.mesh(10)
    mesh.start_all()
    _pulled(case, mesh, busy=True, apart=6)
    mesh.judge_calls()


def Case10_partition_both_ways(case):
    """Three nodes apart from seven: each pair across is down at both ends, all else is as it was."""
    mesh = case.mesh(10)
    mesh.start_all()
    left = [mesh.nodes[name] for name in "abc"]
    right = [mesh.nodes[name] for name in "defghij"]
    cut = time.monotonic()
    for node in left:
        node.machine.drop_from(*(other.machine for other in right))
    for node in right:
        node.machine.drop_from(*(other.machine for other in left))
    for here, there in ((left, right), (right, left)):
        for node in here:
            for other in there:
                mesh.wait_event(node, since=cut, kind="peer", peer=other.name, state="down")
    took = time.monotonic() - cut
    inside = [(node, node.call(other.name)) for side in (left, right) for node in side for other in side
              if node is not other]
    for node, call in inside:
        end = mesh.wait(lambda: node.end_of(call), f"{node.name} calls inside its part")
        case.want(end["code"] == "OK", f"{node.name} inside its part: {end}")
    across = left[0].call("d", timeout=5)
    end = mesh.wait(lambda: left[0].end_of(across), "a call across ends")
    case.want(end["code"] == "UNAVAILABLE" and not end["may_have_run"], f"a call across: {end}")
    healed = time.monotonic()
    for node in mesh.living():
        node.machine.heal()
    mesh.wait_whole()
    _no_others(mesh, case, cut, lambda one, other: (one in "abc") != (other in "abc"))
    case.figure(f"down at both ends after {took:.2f} s, whole {time.monotonic() - healed:.2f} s after it healed")
    mesh.judge_calls()


def Case10_partition_one_way(case):
    """a does not hear b, then b does not hear a: down at both ends each time, and nobody else hears of it."""
    mesh = case.mesh(10)
    mesh.start_all()
    began = time.monotonic()
    for deaf, mute in (("a", "b"), ("b", "a")):
        cut = time.monotonic()
        mesh.nodes[deaf].machine.drop_from(mesh.nodes[mute].machine)
        mesh.wait_event(mesh.nodes[deaf], since=cut, kind="peer", peer=mute, state="down")
        mesh.wait_event(mesh.nodes[mute], since=cut, kind="peer", peer=deaf, state="down")
        took = time.monotonic() - cut
        # While it lasts neither says up, though one direction is open: the dials of both come to nothing.
        time.sleep(4)  # the fault's own length
        for node, peer in ((deaf, mute), (mute, deaf)):
            ups = mesh.nodes[node].events("peer", peer, "up", since=cut)
            case.want(not ups, f"{node} says that {peer} is up: {ups}")
        healed = time.monotonic()
        mesh.nodes[deaf].machine.heal()
        mesh.wait_whole()
        case.figure(f"{mute} to {deaf} dropped: down at both after {took:.2f} s, "
                    f"up {time.monotonic() - healed:.2f} s after it healed")
    _no_others(mesh, case, began, lambda one, other: {one, other} == {"a", "b"})


def Case11_only_new_connections_blocked(case):
    """No new connection can be made: nothing happens until an old one ends, then it is down and says why."""
    mesh = case.mesh(4, options=("--connect-ms", 1000))
    mesh.start_all()
    cut = time.monotonic()
    for node in mesh.living():
        node.machine.nft(NEW_CONNECTIONS)
    time.sleep(5)  # the fault's own length
    for node in mesh.living():
        events = node.events("peer", since=cut)
        case.want(not events, f"{node.name} tells of something while its connections live: {events}")
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    ended = time.monotonic()
    a.machine.kill_connections(b.machine)
    for node, peer in ((a, "b"), (b, "a")):
        mesh.wait_event(node, since=ended, kind="peer", peer=peer, state="down")
    mesh.wait(lambda: mesh.states(a)["b"]["failures"] >= 3 and mesh.states(b)["a"]["failures"] >= 3, "dials fail")
    for node, peer in ((a, "b"), (b, "a")):
        call = node.call(peer, timeout=5)
        end = mesh.wait(lambda: node.end_of(call), "a call ends")
        case.want(end["code"] == "UNAVAILABLE" and not end["may_have_run"], f"a call meanwhile: {end}")
        case.want("no answer" in end["why"], f"does not say why: {end}")
        case.want("no answer" in mesh.states(node)[peer]["why"],
                  f"{node.name} says of {peer}: {mesh.states(node)[peer]['why']}")
    healed = time.monotonic()
    for node in mesh.living():
        node.machine.heal()
    mesh.wait_whole()
    _no_others(mesh, case, cut, lambda one, other: {one, other} == {"a", "b"})
    case.figure(f"up {time.monotonic() - healed:.2f} s after it healed")


def Case22_flapping_peer(case):
    """Connections that are cut again and again: dials grow rare, events are put together, then it is up."""
    mesh = case.mesh(4)
    mesh.start_all()
    a, b = mesh.nodes["a"], mesh.nodes["b"]
    began = time.monotonic()
    before = {node.name: mesh.states(node)[peer]["dials"] for node, peer in ((a, "b"), (b, "a"))}
    cuts = 0
    while time.monotonic() - began < 12:  # the fault's own length
        a.machine.kill_connections(b.machine)
        cuts += 1
        time.sleep(0.2)
    lasted = time.monotonic() - began
    dials = sum(mesh.states(node)[peer]["dials"] - before[node.name] for node, peer in ((a, "b"), (b, "a")))
    told = [event for node, peer in ((a, "b"), (b, "a")) for event in node.events("peer", peer, since=began)]
    case.want(dials < cuts / 2, f"{dials} dials in {lasted:.0f} s, as if no pause grew ({cuts} cuts)")
    case.want(len(told) <= 2 * (lasted + 4 + 1), f"{len(told)} events in {lasted:.0f} s at two nodes")
    healed = time.monotonic()
    mesh.wait_whole()
    _no_others(mesh, case, began, lambda one, other: {one, other} == {"a", "b"})
    case.figure(f"{cuts} cuts in {lasted:.0f} s: {dials} dials of both, {len(told)} events of both, of which "
                f"{sum(event['coalesced'] for event in told)} more were put together; up "
                f"{time.monotonic() - healed:.2f} s after the last cut")


def Case20_all_connections_cut(case):
    """Thirty nodes, all 435 connections cut at once: all are back, by few dials."""
    mesh = case.mesh(30)
    mesh.start_all()
    before = {node.name: sum(peer["dials"] for peer in mesh.states(node).values()) for node in mesh.living()}
    machines = mesh.network.machines
    cut = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        # Each pair's once: at the end of the smaller name.
        list(pool.map(lambda i: machines[i].kill_connections(*machines[i + 1:]), range(29)))
    done = time.monotonic()
    count = mesh.wait_whole()
    back = time.monotonic() - done
    case.want(count == 435, f"{count} connections")
    dials = sum(sum(peer["dials"] for peer in mesh.states(node).values()) - before[node.name]
                for node in mesh.living())
    case.want(dials >= 435 / 2, f"{dials} dials: nothing was cut")
    case.want(dials <= 2 * 435, f"{dials} dials for 435 pairs")
    # No call is lost: those that wait go through.
    calls = [(node, node.call("a" if node.name != "a" else "b", wait=True)) for node in mesh.living()]
    for node, call in calls:
        end = mesh.wait(lambda: node.end_of(call), f"{node.name} calls")
        case.want(end["code"] == "OK", f"{node.name}: {end}")
    case.figure(f"cutting took {done - cut:.2f} s; whole {back:.2f} s after the last cut, "
                f"{dials} dials ({dials / 435:.2f} a pair)")


Case10_partition_one_way.seconds = 35
Case12_cable_pulled_busy.seconds = 25
Case22_flapping_peer.seconds = 25
