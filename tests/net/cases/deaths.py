"""Nodes that die, hang, and come back."""

import signal
import time


def Case08_killed_and_restarted(case):
    """kill -9, and back while its peers pause: noticed before a heartbeat would be due, called at once again."""
    # Peers pause up to 20 s before they dial: whoever is up sooner was reached by the one that came back.
    # A heartbeat would notice a minute later.
    mesh = case.mesh(10, options=("--backoff-ms", 20000, "--max-backoff-ms", 20000, "--heartbeat-ms", 60000))
    mesh.start_all()
    noticed, called, back = [], [], []
    for victim in ("b", "j", "a", "e"):
        node = mesh.nodes[victim]
        others = [other for other in mesh.living() if other is not node]
        killed = time.monotonic()
        node.kill()
        for other in others:
            event = mesh.wait_event(other, since=killed, kind="peer", peer=victim)
            case.want(event["state"] == "down", f"{other.name} says first: {event}")
            noticed.append(event["t"] - killed)
        case.want(max(noticed) < 60.0, f"noticed by a heartbeat, not by the end: {max(noticed):.3f} s")
        # Each other node has a call waiting when it comes back.
        waiting = {other: other.call(victim, timeout=40, wait=True) for other in others}
        mesh.start(victim)
        listens = mesh.nodes[victim].of("started")[0]["t"]
        for other, call in waiting.items():
            end = mesh.wait(lambda: other.end_of(call), f"{other.name}'s call to {victim} ends")
            case.want(end["code"] == "OK", f"{other.name}'s waiting call: {end}")
            called.append(end["t"] - listens)
        # And those that do not wait go through now.
        mesh.wait_whole()
        back.append(time.monotonic() - listens)
        direct = {other: other.call(victim) for other in others}
        for other, call in direct.items():
            end = mesh.wait(lambda: other.end_of(call), f"{other.name}'s second call ends")
            case.want(end["code"] == "OK", f"{other.name}'s second call: {end}")
    mesh.judge_calls(codes=("OK",))
    case.figure(f"kill -9 noticed after {mesh.spread(noticed)}")
    case.figure(f"first call to the restarted node ends, after it listens: {mesh.spread(called)}")
    case.figure(f"whole again after {mesh.spread(back)}")


def _stopped(mesh, case, victim, seconds=None):
    """SIGSTOP for so long, or until all say that it is suspect, under load; events about it from then on, by node."""
    node = mesh.nodes[victim]
    mesh.load(40)
    mesh.wait(lambda: all(len(other.of("end")) > 20 for other in mesh.living()), "load runs")
    before = mesh.pairs()
    stopped = time.monotonic()
    node.signal(signal.SIGSTOP)
    if seconds is None:
        for other in mesh.living():
            if other is not node:
                mesh.wait_event(other, since=stopped, kind="peer", peer=victim, state="suspect")
    else:
        time.sleep(seconds)  # the fault's own length
    lasted = time.monotonic() - stopped
    node.signal(signal.SIGCONT)
    mesh.wait_states({victim: "up"})
    mesh.wait_whole()
    mesh.load(0)
    mesh.settle_calls()
    others = [other for other in mesh.living() if other is not node]
    after = mesh.pairs()
    same = {other.name: before[frozenset((victim, other.name))] == after[frozenset((victim, other.name))]
            for other in others}
    told = {other.name: [(event["state"], event["t"] - stopped)
                         for event in other.events("peer", victim, since=stopped)] for other in others}
    suspects = [t for events in told.values() for state, t in events if state == "suspect"]
    downs = [t for events in told.values() for state, t in events if state == "down"]
    case.figure(f"stopped {lasted:.1f} s: suspect after {mesh.spread(suspects)}, down after {mesh.spread(downs)}")
    for other in others:
        for third in others:
            strange = other.events("peer", third.name, since=stopped) if third is not other else []
            case.want(not strange, f"{other.name} told of {third.name}, which was well: {strange}")
    return same, told


def Case13_stopped_until_suspect(case):
    """SIGSTOP for two heartbeats: suspect, then up by the same connections; no call lost or done twice."""
    # Down is a whole heartbeat behind suspect.
    mesh = case.mesh(10, options=("--heartbeat-ms", 2000))
    mesh.start_all()
    same, told = _stopped(mesh, case, "d")
    for name, events in told.items():
        states = [state for state, _ in events]
        case.want(states == ["suspect", "up"], f"{name} says {states}")
        case.want(same[name], f"{name} has another connection")
    mesh.judge_calls(codes=("OK",))


def Case13_stopped_for_ten_seconds(case):
    """SIGSTOP for 10 s: suspect, down, up by one new connection; no call done twice."""
    mesh = case.mesh(10)
    mesh.start_all()
    same, told = _stopped(mesh, case, "d", 10.0)
    for name, events in told.items():
        states = [state for state, _ in events]
        case.want(states[:2] == ["suspect", "down"] and states[-1] == "up", f"{name} says {states}")
        case.want(not same[name], f"{name} has the same connection")
    mesh.judge_calls()


def Case24_rolling_restart(case):
    """Each node is stopped and started again under load: calls are OK, or may have been executed once."""
    mesh = case.mesh(10)
    mesh.start_all()
    mesh.load(40)
    stops, starts = [], []
    for name in mesh.names:
        node = mesh.nodes[name]
        began = time.monotonic()
        node.tell("stop", 5000)
        mesh.wait(lambda: node.of("stopped") and not node.lives, f"{name} stops")
        stops.append(time.monotonic() - began)
        began = time.monotonic()
        mesh.start(name)
        mesh.load(40, nodes=[mesh.nodes[name]])
        mesh.wait_whole()
        starts.append(time.monotonic() - began)
    mesh.load(0)
    mesh.settle_calls()
    counts = mesh.judge_calls()
    case.want("UNAVAILABLE (not run)" not in counts, "a call that waits for its peer ended as not run")
    case.figure(f"stopping {mesh.spread(stops)}; from start to whole {mesh.spread(starts)}")


def Case24_rolling_kill(case):
    """The same with kill -9: calls of the others are OK, or may have been executed; none is executed twice."""
    mesh = case.mesh(10)
    mesh.start_all()
    mesh.load(100, sleep_ms=8)
    mesh.wait(lambda: all(len(node.of("end")) > 20 for node in mesh.living()), "load runs")
    for name in mesh.names:
        mesh.nodes[name].kill()
        mesh.start(name)
        mesh.load(100, sleep_ms=8, nodes=[mesh.nodes[name]])
        mesh.wait_whole()
    mesh.load(0)
    mesh.settle_calls()
    counts = mesh.judge_calls()
    case.want("UNAVAILABLE (not run)" not in counts, "a call that waits for its peer ended as not run")


Case08_killed_and_restarted.seconds = 15
Case13_stopped_for_ten_seconds.seconds = 20
Case24_rolling_restart.seconds = 25
