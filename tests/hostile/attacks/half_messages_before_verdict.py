"""Calls, half messages and all that before the verdict: little is held for somebody unknown."""

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent

from .half_messages import send_halves

# MiB for all connections without a verdict, with default settings, and a little beside them.
MOST_GROWTH = 96


def attack(scene):
    with scene.server(workers=4, token="secret", auth_ms=60_000) as server:
        innocent = Innocent(server.address, token=b"good")
        before = server.resident()
        calls = Connection(server.address, shaken=False)
        calls.open(token=b"wrong")
        halves = Connection(server.address, shaken=False)
        halves.open(token=b"wrong")
        # A server that stops reading stops the sender too.
        for connection in (calls, halves):
            connection.socket.settimeout(1)
        try:
            for call in range(1, 1101):
                calls.send(frames.request(call, frames.DO, 1, frames.job(payload=b"a" * 60_000)))
        except OSError:
            scene.figure("calls are not read any more")
        try:
            send_halves(halves, 4)
        except OSError:
            scene.figure("halves are not read any more")
        scene.want(innocent.answered(10) == 10, "innocent calls are not answered")
        grown = server.resident() - before
        scene.figure(f"{grown:.0f} MiB more resident before the verdict")
        scene.want(grown < MOST_GROWTH, f"{grown:.0f} MiB are held before the verdict")
