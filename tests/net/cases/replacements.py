"""Names and addresses that belong to another process than before."""

import signal
import time


def Case06_another_node_at_the_address(case):
    """b is replaced at its address by c: refused with "this is c, not b", the members are asked for again."""
    mesh = case.mesh(3)
    # a reads its file when it asks for it, never else.
    own = mesh.folder / "members.a"
    mesh.write_members(own)
    mesh.nodes["a"] = mesh.make("a", members=own, options=("--watch", 0))
    for name in "bc":
        mesh.nodes[name] = mesh.make(name)
    for node in mesh.living():
        node.tell("start")
    mesh.wait_whole()
    a = mesh.nodes["a"]
    changed = time.monotonic()
    mesh.nodes["b"].kill()
    mesh.nodes["c"].kill()
    for peer in "bc":
        mesh.wait_event(a, since=changed, kind="peer", peer=peer, state="down")
    c = mesh.make("c", machine=mesh.machine["b"], members=mesh.folder / "members.c")
    mesh.nodes["c"] = c
    old = mesh.entries["b"]
    mesh.entries["c"], mesh.entries["b"] = old, mesh.entries["c"]
    mesh.write_members(mesh.folder / "members.c")
    # a has not read this yet, and asks because of whom it met.
    mesh.write_members(own)
    c.tell("start")
    wrong = mesh.wait_event(a, since=changed, kind="wrong_node", peer="b")
    case.want("this is c, not b" in wrong["why"] or "that is c, not b" in wrong["why"], f"a is told {wrong}")
    view = mesh.wait_event(a, since=changed, kind="view")
    case.want(not a.events("peer", "b", "up", since=changed), "a takes c for b")
    mesh.wait_event(a, since=changed, kind="peer", peer="c", state="up")
    mesh.wait_whole()
    call = a.call("c")
    end = mesh.wait(lambda: a.end_of(call), "a calls c")
    case.want(end["code"] == "OK" and end["by"] == "c", f"a calls c: {end}")
    case.want(not [line for line in c.of("ran") if line["id"] != call], "c has executed what was meant for b")
    case.want(mesh.states(a)["b"]["state"] in ("down", "refused"), f"b is {mesh.states(a)['b']}")
    case.figure(f"the new view {(view['t'] - wrong['t']) * 1e3:.0f} ms after the wrong node: {wrong['why']}")


def Case07_same_name_new_address(case):
    """b comes back at another port: called there, and its old address is never dialled again."""
    mesh = case.mesh(5)
    mesh.start_all()
    mesh.nodes["b"].kill()
    others = mesh.living()
    mesh.wait_states({"b": "down"}, nodes=others)
    machine = mesh.machine["b"]
    machine.nft("tcp dport 7000 tcp flags & (syn | ack) == syn counter")
    b = mesh.make("b", port=7001)
    b.tell("start")
    # Its own file still says the old address: it is itself by name, wherever it listens.
    mesh.wait_started(b)
    mesh.nodes["b"] = b
    mesh.entries["b"] = b.address
    changed = time.monotonic()
    mesh.write_members()
    for node in mesh.living():
        mesh.wait_event(node, since=changed, kind="view")
    dialled = machine.packets()
    mesh.wait_whole()
    took = time.monotonic() - changed
    # Connections end, so that everybody dials again.
    for node in others:
        machine.kill_connections(node.machine)
    mesh.wait_states({"b": "up"})
    mesh.wait_whole()
    for node in others:
        state = mesh.states(node)["b"]
        case.want(state["address"] == b.address, f"{node.name} has {state['address']}")
    after = machine.packets()
    case.want(after == dialled, f"the old address was dialled {after - dialled} times after the change")
    case.figure(f"whole {took:.2f} s after the change")


def _newcomer(mesh, case):
    """A second b, on a machine of its own, and since when."""
    newcomer = mesh.make("b", machine=mesh.spare[0])
    since = time.monotonic()
    newcomer.tell("start")
    mesh.wait_started(newcomer)
    return newcomer, since


def Case09_second_process_of_a_living_name(case):
    """A second b: the living one stays, and the newcomer is told ALREADY_EXISTS with both addresses."""
    mesh = case.mesh(3, spare=1)
    mesh.start_all()
    before = mesh.pairs()
    b = mesh.nodes["b"]
    newcomer, since = _newcomer(mesh, case)
    for peer in "ac":
        refused = mesh.wait_event(newcomer, since=since, kind="peer", peer=peer)
        case.want(refused["state"] == "refused", f"the newcomer says of {peer}: {refused}")
        case.want(refused["code"] == "ALREADY_EXISTS", f"the newcomer says of {peer}: {refused}")
        incarnations = [str(node.of("started")[0]["incarnation"]) for node in (b, newcomer)]
        for part in (b.address, newcomer.machine.address, *incarnations):
            case.want(part in refused["why"], f"{part} is missing in what the newcomer hears: {refused['why']}")
        event = mesh.wait_event(mesh.nodes[peer], since=since, kind="duplicate_name", peer="b")
        case.want(b.address in event["why"], f"{peer} says {event}")
    case.figure(f"the newcomer hears: {refused['why']}")
    case.want(mesh.pairs() == before, "the living one has other connections than before")
    for name in "ac":
        told = mesh.nodes[name].events("peer", "b", since=since)
        case.want(not told, f"{name} says of b: {told}")
        call = mesh.nodes[name].call("b")
        end = mesh.wait(lambda: mesh.nodes[name].end_of(call), f"{name} calls b")
        case.want(end["code"] == "OK", f"{name} calls b: {end}")
    case.want(not newcomer.of("ran"), "the newcomer has executed a call")


def Case09_second_process_of_a_dead_name(case):
    """A second b while the first does not answer: the newcomer has the name, also when the first is back."""
    mesh = case.mesh(3, spare=1)
    mesh.start_all()
    old = mesh.nodes["b"]
    old.signal(signal.SIGSTOP)
    newcomer, since = _newcomer(mesh, case)
    for peer in "ac":
        mesh.wait_event(newcomer, since=since, kind="peer", peer=peer, state="up")
    mesh.nodes["b"] = newcomer
    took = time.monotonic() - since
    back = time.monotonic()
    old.signal(signal.SIGCONT)
    for peer in "ac":
        refused = mesh.wait_event(old, since=back, kind="peer", peer=peer, state="refused")
        case.want(refused["code"] == "ALREADY_EXISTS", f"the old one says of {peer}: {refused}")
    for name in "ac":
        call = mesh.nodes[name].call("b")
        end = mesh.wait(lambda: mesh.nodes[name].end_of(call), f"{name} calls b")
        case.want(end["code"] == "OK", f"{name} calls b: {end}")
        case.want(call in [line["id"] for line in newcomer.of("ran")], f"{name}'s call was not the newcomer's")
    mesh.wait_whole()
    case.figure(f"the newcomer is up after {took:.2f} s")
