"""Machines on one cable: network namespaces joined by a bridge, and what can be done to them.

Each machine has the address 10.0.0.<number> on eth0; the bridge's end of its cable is called v<number>. A namespace
lives as long as the process that holds it.
"""

import subprocess

# In front of a command: no process is left when this program is killed.
DIES_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


class Namespace:
    def __init__(self):
        # The line says that the namespace is there.
        self._holder = subprocess.Popen([*DIES_WITH_PARENT, "unshare", "-n", "sh", "-c", "echo here; exec sleep infinity"],
                                        stdout=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "here\n":
            raise RuntimeError("no network namespace can be made here: 'unshare -n' failed")
        self.pid = self._holder.pid

    def inside(self, *command):
        return ["nsenter", "-t", str(self.pid), "-n", *command]

    def run(self, *command, text=None):
        done = subprocess.run(self.inside(*command), input=text, text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()} {text or ''}")
        return done.stdout

    def close(self):
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()


class Machine(Namespace):
    def __init__(self, number):
        super().__init__()
        self.number = number
        self.address = f"10.0.0.{number}"
        self.hardware = f"02:00:00:00:00:{number:02x}"

    def nft(self, text):
        """A whole table of rules in place of those before. `text`: rules of its input hook."""
        rules = "\n".join(f"    {line}" for line in text.splitlines())
        self.run("nft", "-f", "-", text=f"""
table ip faults
delete table ip faults
table ip faults {{
  chain input {{
    type filter hook input priority 0; policy accept;
{rules}
  }}
}}
""")

    def heal(self):
        self.nft("")

    def drop_from(self, *others):
        """Drops the packets of those here."""
        self.nft(f"ip saddr {{ {', '.join(other.address for other in others)} }} drop")

    def packets(self):
        """Returns the count of the rules above."""
        for line in self.run("nft", "list", "table", "ip", "faults").splitlines():
            words = line.split()
            if "counter" in words:
                return int(words[words.index("packets") + 1])
        raise RuntimeError("no rule counts")

    def slow_down(self, rate, queue):
        """Its packets leave at this rate, and wait so long at most: tc's texts."""
        self.run("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "32k", "latency", queue)

    def kill_connections(self, *others):
        """As if the kernel had lost them: both ends hear of it by a reset."""
        self.run("ss", "-t", "-K", " or ".join(f"dst {other.address}" for other in others))

    def connections(self):
        """((address, port), (address, port)) of each that is established, this end first."""
        found = []
        for line in self.run("ss", "-Htn", "state", "established").splitlines():
            words = line.split()
            ends = []
            for text in words[2:4]:
                host, port = text.rsplit(":", 1)
                ends.append((host, int(port)))
            found.append(tuple(ends))
        return found


class Network:
    def __init__(self, count):
        self._switch = Namespace()
        self.machines = [Machine(number) for number in range(1, count + 1)]
        lines = ["link add br0 type bridge", "link set br0 up"]
        for machine in self.machines:
            end = f"v{machine.number}"
            lines.append(f"link add {end} type veth peer name eth0 netns {machine.pid}")
            lines.append(f"link set {end} master br0 up")
        self._switch.run("ip", "-batch", "-", text="\n".join(lines) + "\n")
        # All know each other's hardware: the kernel's table of neighbours is one for all namespaces, and small.
        for machine in self.machines:
            known = "".join(f"neigh add {other.address} lladdr {other.hardware} dev eth0 nud permanent\n"
                            for other in self.machines if other is not machine)
            machine.run("ip", "-batch", "-", text=f"link set eth0 address {machine.hardware}\n"
                                                  f"addr add {machine.address}/24 dev eth0\n"
                                                  f"link set lo up\nlink set eth0 up\n{known}")

    def pull(self, machine):
        self._switch.run("ip", "link", "set", f"v{machine.number}", "down")

    def plug(self, machine):
        self._switch.run("ip", "link", "set", f"v{machine.number}", "up")

    def close(self):
        for machine in self.machines:
            machine.close()
        self._switch.close()
