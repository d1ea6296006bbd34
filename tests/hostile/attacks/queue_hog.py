"""One connection fills the queue of the workers: the call of another one does not wait for all of it."""

import threading
import time

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent, Latencies

CALLS = 3000


def attack(scene):
    in_front(scene)
    if scene.full:
        without_end(scene)


def in_front(scene):
    with scene.server(workers=1) as server:
        innocent = Innocent(server.address)
        innocent.call()
        hog = Connection(server.address)
        message = frames.job(1, sleep_us=1000)
        hog.send(b"".join(frames.request(call, frames.DO, 1, message) for call in range(1, CALLS + 1)))
        # All of them have been read, and wait.
        hog.ping()
        got = innocent.call()
        scene.want(got.aux == frames.OK, f"an innocent call ends with {got.aux}")
        before = frames.executed_before(got.body[4:])
        scene.figure(f"{before} of {CALLS} calls were executed before an innocent one")
        # Executed before it were the calls that ran while it came, and a few of those that waited.
        scene.want(before < CALLS // 2, "an innocent call waits for what stood before it")


def without_end(scene):
    """It keeps 10,000 calls under way, of 2 ms each."""
    with scene.server(workers=4, io=2) as server:
        innocent = Latencies(server.address, period=0.05)
        time.sleep(1.5)
        scene.figure(f"before: {innocent.since(0)}")
        hog = Connection(server.address)
        room = threading.Semaphore(10_000)
        message = frames.job(1, sleep_us=2000)

        def read():
            try:
                while True:
                    hog.receive_until(frames.RESPONSE)
                    room.release()
            except (OSError, EOFError):
                pass

        threading.Thread(target=read, daemon=True).start()
        begin, call = time.monotonic(), 0
        while time.monotonic() < begin + 20:
            batch = []
            for _ in range(100):
                room.acquire()
                call += 1
                batch.append(frames.request(call, frames.DO, 1, message))
            hog.send(b"".join(batch))
        innocent.stop()
        scene.figure(f"during: {innocent.since(begin)}, {innocent.errors} errors")
        scene.want(innocent.errors == 0, "innocent calls fail")
        hog.close()
