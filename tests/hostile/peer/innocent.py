"""An innocent client: one call at a time on one connection, while others attack the server."""

import threading
import time

from . import frames
from .connection import Connection


class Innocent:
    def __init__(self, address, **hello):
        self._connection = Connection(address, **hello)
        self._calls = 0

    def call(self, **job):
        """Makes one call; its RESPONSE."""
        self._calls += 1
        name = frames.DO if self._calls == 1 else None
        self._connection.send(frames.request(self._calls, name, 1, frames.job(**job)))
        return self._connection.receive_until(frames.RESPONSE)

    def answered(self, calls):
        """How many of so many calls, one behind the other, are answered with OK."""
        good = 0
        for _ in range(calls):
            try:
                good += self.call().aux == frames.OK
            except (OSError, EOFError):
                break
        return good


class Latencies(threading.Thread):
    """Innocent calls until stop(), each with the time that it took."""

    def __init__(self, address, period=0.01, **hello):
        super().__init__(daemon=True)
        self._innocent = Innocent(address, **hello)
        self._period = period
        self._ending = threading.Event()
        self._taken = []
        self.errors = 0
        self.start()

    def run(self):
        while not self._ending.wait(self._period):
            begin = time.monotonic()
            try:
                if self._innocent.call().aux != frames.OK:
                    self.errors += 1
            except (OSError, EOFError):
                self.errors += 1
                return
            self._taken.append((begin, time.monotonic() - begin))

    def stop(self):
        self._ending.set()
        self.join()

    def since(self, begin):
        """A line about the calls that began then or later."""
        taken = sorted(took for began, took in self._taken if began >= begin)
        if not taken:
            return "no call was answered"
        at = [taken[len(taken) // 2], taken[int(len(taken) * 0.99)], taken[-1]]
        return "{} calls, p50 {:.1f} ms, p99 {:.1f} ms, longest {:.1f} ms".format(len(taken), *(1e3 * x for x in at))
