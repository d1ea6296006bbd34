"""A process of mesh_node, and what it has written."""

import json
import signal
import subprocess

from scene.network import DIES_WITH_PARENT


class Node:
    def __init__(self, program, name, machine, port, members, folder, options=()):
        self.name, self.machine, self.port = name, machine, port
        self.address = f"{machine.address}:{port}"
        Node.made = getattr(Node, "made", 0) + 1
        self.log = folder / f"{name}.{Node.made}.json"
        self.stderr = folder / f"{name}.{Node.made}.log"
        self.lines = []
        self._rest = b""
        command = machine.inside(str(program), "--name", name, "--listen", self.address, "--members", str(members),
                                 *(str(option) for option in options))
        with open(self.log, "wb") as out, open(self.stderr, "wb") as err:
            self.process = subprocess.Popen([*DIES_WITH_PARENT, *command], stdin=subprocess.PIPE, stdout=out, stderr=err, bufsize=0)
        self._out = open(self.log, "rb")
        self._calls = 0

    def tell(self, *words):
        self.process.stdin.write((" ".join(str(word) for word in words) + "\n").encode())

    def read(self):
        """All lines up to now."""
        self._rest += self._out.read()
        *whole, self._rest = self._rest.split(b"\n")
        for line in whole:
            self.lines.append(json.loads(line))
        return self.lines

    def of(self, kind, since=0.0):
        return [line for line in self.read() if line["is"] == kind and line["t"] >= since]

    def events(self, kind=None, peer=None, state=None, since=0.0):
        return [line for line in self.of("event", since)
                if kind in (None, line["kind"]) and peer in (None, line["peer"]) and state in (None, line.get("state"))]

    def peer_states(self):
        """The last state of each peer that an event has told."""
        return {event["peer"]: event["state"] for event in self.events("peer")}

    def call(self, to, timeout=10.0, wait=False, size=32):
        """Starts one; its name."""
        self._calls += 1
        name = f"{self.log.stem}-{self._calls}"
        self.tell("call", name, to, int(timeout * 1000), int(wait), size)
        return name

    def end_of(self, call):
        for line in self.of("end"):
            if line["id"] == call:
                return line
        return None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """At once, and gone when this returns."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self.read()

    @property
    def lives(self):
        return self.process.poll() is None

    def close(self):
        self.kill()
        self.process.stdin.close()
        self._out.close()
