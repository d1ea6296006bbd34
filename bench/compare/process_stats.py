"""Reads from /proc about a process: CPU time, page faults, voluntary context switches, memory."""

import dataclasses
import os
import time

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds_of(stat):
    """User and system time out of the text of /proc/PID/stat."""
    # The second field is the program's name in brackets, and may hold both blanks and brackets.
    fields = stat[stat.rindex(")") + 2:].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_clock_seconds(pid):
    """User and system time of all threads of a process, those that have ended too, to the
    nanosecond."""
    # The kernel's number of another process's CPU clock, as clock_getcpuclockid makes it.
    return time.clock_gettime((~pid << 3) | 2)


def faults_of(stat):
    """Page faults that needed no disk, out of the text of /proc/PID/stat."""
    return int(stat[stat.rindex(")") + 2:].split()[7])


def status_field(status, name):
    """The number behind `name:` in the text of a /proc status file; 0 where there is none."""
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    return 0


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def peak_rss_mib(pid):
    return status_field(_read(f"/proc/{pid}/status"), "VmHWM") / 1024


@dataclasses.dataclass(frozen=True)
class Sample:
    """A process at one moment."""

    when: float
    cpu_seconds: float
    switches: dict  # voluntary ones, by thread
    faults: int = 0

    @staticmethod
    def of(pid):
        switches = {}
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                status = _read(f"/proc/{pid}/task/{task}/status")
            except OSError:
                continue  # the thread has ended
            switches[task] = status_field(status, "voluntary_ctxt_switches")
        stat = _read(f"/proc/{pid}/stat")
        return Sample(time.monotonic(), cpu_seconds_of(stat), switches, faults_of(stat))

    def rates_since(self, earlier):
        """CPU seconds and voluntary switches a second; threads gone meanwhile count for nothing."""
        elapsed = self.when - earlier.when
        if elapsed <= 0:
            return 0.0, 0.0
        switches = sum(count - earlier.switches.get(task, 0)
                       for task, count in self.switches.items())
        return (self.cpu_seconds - earlier.cpu_seconds) / elapsed, switches / elapsed

    def faults_since(self, earlier):
        """Page faults a second."""
        elapsed = self.when - earlier.when
        return (self.faults - earlier.faults) / elapsed if elapsed > 0 else 0.0
