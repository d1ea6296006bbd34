"""Broadcasts to nodes of which one does not read."""

import signal

MIB = 1 << 20
# The bytes that may wait for each peer. Beside it a node keeps some blocks of a broadcast's size for the next ones.
LIMIT = 4 * MIB


def _slow_peer(case, slow):
    """Broadcasts of 1 MiB while j is stopped: all are OK by the others; j's part ends as `slow` says."""
    # No heartbeat tells that j is stopped: it is slow, not silent.
    mesh = case.mesh(10, options=("--heartbeat-ms", 60000, "--output-bytes", LIMIT))
    mesh.start_all()
    a, j = mesh.nodes["a"], mesh.nodes["j"]

    def broadcast(name, count, want, ms, rest=0, how=slow):
        a.tell("broadcast", name, count, how, want, ms, MIB, rest)
        mesh.wait(lambda: len([line for line in a.of("broadcast") if line["id"].startswith(f"{name}.")]) == count,
                  f"broadcasts {name} end")
        return [line for line in a.of("broadcast") if line["id"].startswith(f"{name}.")]

    def median(lines):
        return sorted(line["took"] for line in lines)[len(lines) // 2]

    def memory():
        said = len(a.of("memory"))
        a.tell("memory")
        mesh.wait(lambda: len(a.of("memory")) > said, "a says what is in memory")
        return a.of("memory")[-1]["bytes"]

    whole = broadcast("whole", 20, 9, 20000)
    before = memory()
    j.signal(signal.SIGSTOP)
    stopped = broadcast("stopped", 100, 8, 20000)
    grown = memory() - before
    wrong = [line for line in stopped if line["code"] != "OK" or line["ok"] != 8]
    case.want(not wrong, f"{len(wrong)} broadcasts were not OK by eight: {wrong[:2]}")
    # Bytes of a broadcast that is cancelled wait for j no more.
    case.want(grown <= 1.5 * LIMIT, f"memory grew by {grown / MIB:.1f} MiB, and {LIMIT // MIB} MiB may wait")
    # Broadcasts that run on fill j's limit; j's system may still take some bytes, so it is filled until it is full: by
    # those that fail there, where others would wait. The end of each is waited for then: j's comes at once.
    fills = "skip" if slow == "skip" else "fail"
    expected = {"fail": "RESOURCE_EXHAUSTED", "skip": "skipped"}[fills]
    filled = []
    for turn in range(20):
        filled += broadcast(f"filled{turn}", 10, 8, 20000, rest=1, how=fills)
        each = broadcast(f"each{turn}", 1, 0, 1000, how=fills)[0]
        if each["ends"]["j"] == expected:
            break
    wrong = [line for line in filled if line["code"] != "OK" or line["ok"] != 8]
    case.want(not wrong, f"{len(wrong)} broadcasts were not OK by eight: {wrong[:2]}")
    others = {line["ends"]["j"] for line in filled} - {"open", expected}
    case.want(not others, f"j's part in those that run on: {others}")
    case.want(each["ends"]["j"] == expected, f"j's part where all are waited for: {each}")
    case.want(each["ok"] == 8, f"eight others: {each}")
    if slow == "wait":
        # One waits for j until its deadline. Of those that run on as many wait as half of the limit has room for.
        waited = broadcast("waited", 1, 0, 1000)[0]
        case.want(waited["ends"]["j"] == "DEADLINE_EXCEEDED" and waited["ok"] == 8, f"one that waits for j: {waited}")
        crowd = [line["ends"]["j"] for line in broadcast("crowd", 10, 8, 20000, rest=1)]
        case.want(set(crowd) == {"open", "RESOURCE_EXHAUSTED"}, f"j's part of more than may wait: {crowd}")
    j.signal(signal.SIGCONT)
    mesh.wait(lambda: broadcast(f"after{len(a.lines)}", 1, 0, 20000)[0]["ok"] == 9, "j takes broadcasts again")
    mesh.wait_whole()
    mesh.judge_calls()
    counts = {}
    for line in filled:
        counts[line["ends"]["j"]] = counts.get(line["ends"]["j"], 0) + 1
    case.figure(f"j's part of {len(filled)} that run on: {counts}; behind 100 that were cancelled memory was "
                f"{grown / MIB:.1f} MiB above that before, with {LIMIT // MIB} MiB for what waits")
    case.figure(f"median of a broadcast: {median(whole) * 1e3:.1f} ms, with one stopped {median(stopped) * 1e3:.1f} ms")


def Case17_slow_peer_fails(case):
    """Broadcasts beside a peer that does not read, which fail there as soon as its limit is full."""
    _slow_peer(case, "fail")


def Case17_slow_peer_is_skipped(case):
    """Broadcasts beside a peer that does not read, which is left out as soon as its limit is full."""
    _slow_peer(case, "skip")


def Case17_slow_peer_is_waited_for(case):
    """Broadcasts beside a peer that does not read, which wait for room there, and end without it."""
    _slow_peer(case, "wait")
