"""A mesh of nodes on a network of its own: starts them, waits for what they write, and judges it."""

import itertools
import os
import pathlib
import shutil
import tempfile
import time

from scene.network import Network
from scene.node import Node

PORT = 7000
NAMES = [*"abcdefghijklmnopqrstuvwxyz", "za", "zb", "zc", "zd"]
# Nothing that is waited for takes so many seconds, however slow the machine is.
PATIENCE = 60.0


class Fault(Exception):
    """The case cannot go on."""


class Mesh:
    def __init__(self, program, case, size, spare=0, options=()):
        self._program, self._case, self._options = program, case, list(options)
        self.network = Network(size + spare)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-net-"))
        self.names = NAMES[:size]
        self.machine = dict(zip(self.names, self.network.machines))
        self.spare = self.network.machines[size:]
        self.entries = {name: f"{machine.address}:{PORT}" for name, machine in self.machine.items()}
        self.members = self.folder / "members"
        self.write_members()
        self.nodes = {}  # the one of each name that is judged
        self.all = []    # and all there were

    # ---- members

    def write_members(self, file=None):
        file = file or self.members
        fresh = file.with_suffix(".new")
        fresh.write_text("".join(f"{name} {address}\n" for name, address in self.entries.items()))
        os.rename(fresh, file)

    # ---- processes

    def make(self, name, machine=None, port=PORT, members=None, options=()):
        node = Node(self._program, name, machine or self.machine[name], port, members or self.members, self.folder,
                    [*self._options, *options])
        self.all.append(node)
        return node

    def start(self, *names, options=()):
        """Processes first, then all of them at once."""
        for name in names:
            self.nodes[name] = self.make(name, options=options)
        for name in names:
            self.nodes[name].tell("start")
        for name in names:
            self.wait_started(self.nodes[name])

    def wait_started(self, node):
        self.wait(lambda: node.of("started") or not node.lives, f"{node.name} starts")
        if not node.lives:
            raise Fault(f"{node.name} did not start: {node.read()[-1:]} {node.stderr.read_text()[-500:]}")

    def start_all(self, options=()):
        self.start(*self.names, options=options)
        self.wait_whole()

    def living(self):
        return [node for node in self.nodes.values() if node.lives]

    def close(self):
        for node in self.all:
            node.close()
        self.network.close()
        if self._case.faults:
            self._case.figure(f"what the nodes wrote is in {self.folder}")
        else:
            shutil.rmtree(self.folder)

    # ---- waiting

    def wait(self, holds, what, patience=PATIENCE):
        end = time.monotonic() + patience
        while True:
            found = holds()
            if found:
                return found
            if time.monotonic() > end:
                raise Fault(f"waited {patience:.0f} s in vain: {what}")
            time.sleep(0.02)

    def wait_event(self, node, since=0.0, patience=PATIENCE, **which):
        return self.wait(lambda: node.events(since=since, **which), f"{node.name} tells {which}", patience)[0]

    def wait_states(self, wanted, nodes=None, patience=PATIENCE):
        """`wanted`: {peer: state}, for each of the nodes but itself."""
        nodes = nodes or self.living()

        def hold():
            return all(node.peer_states().get(peer) == state
                       for node in nodes for peer, state in wanted.items() if peer != node.name)
        try:
            self.wait(hold, f"{wanted}", patience)
        except Fault as fault:
            wrong = [f"{node.name} says {node.peer_states().get(peer)} of {peer}: {self.states(node).get(peer)}"
                     for node in nodes for peer, state in wanted.items()
                     if peer != node.name and node.peer_states().get(peer) != state]
            raise Fault(f"{fault}; {'; '.join(wrong[:4])} ({len(wrong)})") from fault

    def wait_whole(self, patience=PATIENCE):
        """All that live are up with each other, by one connection each that both ends have."""
        names = [node.name for node in self.living()]
        self.wait_states({name: "up" for name in names}, patience=patience)
        try:
            self.wait(lambda: not self.odd_pairs(), "one connection a pair", patience)
        except Fault as fault:
            odd = self.odd_pairs()
            raise Fault(f"{fault}; there are {odd}; {self.say_of(odd)}") from fault
        return len(names) * (len(names) - 1) // 2

    # ---- connections, as the kernel has them

    def pairs(self):
        """{frozenset of two names: [set of the connections that one end has, of the other]} among those that live."""
        by_address = {node.machine.address: node.name for node in self.living()}
        found = {frozenset(pair): {name: set() for name in pair}
                 for pair in itertools.combinations(sorted(by_address.values()), 2)}
        for node in self.living():
            for own, other in node.machine.connections():
                peer = by_address.get(other[0])
                if peer is not None and peer != node.name:
                    found[frozenset((node.name, peer))][node.name].add(frozenset((own, other)))
        return found

    def odd_pairs(self):
        """Returns the pairs that have not exactly one connection, the same at both ends."""
        odd = {}
        for pair, ends in self.pairs().items():
            one, other = ends.values()
            if len(one) != 1 or one != other:
                odd["-".join(sorted(pair))] = [len(one), len(other)]
        return odd

    def states(self, node):
        """Asks it for the states of its peers."""
        before = len(node.of("state"))
        node.tell("state")
        self.wait(lambda: len(node.of("state")) > before or not node.lives, f"the state of {node.name}")
        return {peer["name"]: peer for peer in node.of("state")[-1]["peers"]}

    def say_of(self, odd):
        """Both ends' words on such pairs."""
        said = {}
        for pair in list(odd)[:3]:
            one, other = pair.split("-")
            said[pair] = [self.states(self.nodes[one])[other], self.states(self.nodes[other])[one]]
        return said

    # ---- calls

    def judge_calls(self, codes=("OK", "UNAVAILABLE")):
        """Each call ended once, as it may; what was executed, was once; what was not, was not.

        A broadcast's calls have one name, and each node executes it once.
        """
        ran, at_nodes, begun, ended = {}, {}, {}, {}
        for node in self.all:
            for line in node.read():
                if line["is"] == "ran":
                    ran[line["id"]] = ran.get(line["id"], 0) + 1
                    at_nodes.setdefault(line["id"], set()).add(node)
                elif line["is"] == "call":
                    begun[line["id"]] = node
                elif line["is"] == "end":
                    ended.setdefault(line["id"], []).append(line)
        want = self._case.want
        twice = [name for name, times in ran.items()
                 if times > (1 if name in begun else len(at_nodes[name]))]
        want(not twice, f"executed twice: {twice[:5]} ({len(twice)})")
        lost = [name for name, node in begun.items() if name not in ended and node.lives]
        want(not lost, f"did not end: {lost[:5]} ({len(lost)})")
        counts = {}
        for name, lines in ended.items():
            want(len(lines) == 1, f"{name} ended {len(lines)} times")
            line = lines[0]
            key = line["code"] if line["code"] == "OK" else \
                f"{line['code']} ({'may have run' if line['may_have_run'] else 'not run'})"
            counts[key] = counts.get(key, 0) + 1
            if line["code"] == "OK":
                want(name in ran, f"{name} is OK and was not executed")
            elif not line["may_have_run"]:
                want(name not in ran, f"{name} says it was not executed, and was: {line}")
            want(line["code"] in codes, f"{name} ended with {line}")
        self._case.figure(f"calls: {', '.join(f'{n} {key}' for key, n in sorted(counts.items())) or 'none'}")
        return counts

    def settle_calls(self):
        """Waits until each call of the living has ended; loads have been stopped."""
        for node in self.living():
            self.states(node)  # it has taken all commands before
        def left():
            return [line["id"] for node in self.living()
                    for ended in [{line["id"] for line in node.of("end")}]
                    for line in node.of("call") if line["id"] not in ended]
        try:
            self.wait(lambda: not left(), "all calls end")
        except Fault as fault:
            raise Fault(f"{fault}: {left()[:5]}") from fault

    def load(self, rate, timeout=20.0, wait=True, sleep_ms=0, nodes=None):
        for node in nodes or self.living():
            node.tell("load", rate, int(timeout * 1000), int(wait), sleep_ms)

    # ---- figures

    @staticmethod
    def spread(seconds):
        """For people: the least, the median and the most, in milliseconds."""
        ordered = sorted(seconds)
        if not ordered:
            return "none"
        return (f"{ordered[0] * 1e3:.0f} / {ordered[len(ordered) // 2] * 1e3:.0f} / {ordered[-1] * 1e3:.0f} ms "
                f"(least, median, most of {len(ordered)})")
