"""Nodes that begin, all at once or one after the other."""

import time


def Case01_crossing_starts(case):
    """Ten nodes start at once, ten times: 45 connections, the same at both ends, and every call is OK."""
    mesh = case.mesh(10)
    dials, times = [], []
    for _ in range(10):
        began = time.monotonic()
        mesh.start(*mesh.names)
        for node in mesh.living():
            for peer in mesh.names:
                if peer != node.name:
                    node.call(peer, timeout=30, wait=True)
        count = mesh.wait_whole()
        times.append(time.monotonic() - began)
        mesh.settle_calls()
        case.want(count == 45, f"{count} connections")
        dialled = {}
        total = 0
        for node in mesh.living():
            for peer in mesh.states(node).values():
                total += peer["dials"]
                staying = [c for c in peer["connections"] if not c["leaving"]]
                case.want(len(staying) == 1, f"{node.name} says of {peer['name']}: {peer['connections']}")
                for connection in staying:
                    dialled.setdefault(frozenset((node.name, peer["name"])), []).append(connection["dialled"])
        wrong = {"-".join(sorted(pair)): ends for pair, ends in dialled.items() if sorted(ends) != [False, True]}
        case.want(not wrong, f"not dialled by exactly one end: {wrong}")
        dials.append(total)
        for node in mesh.living():
            node.kill()
    mesh.judge_calls(codes=("OK",))
    case.figure(f"dials for 45 pairs: {dials}")
    case.figure(f"whole mesh, from the start of processes: {mesh.spread(times)}")


Case01_crossing_starts.seconds = 30
