"""Four silent connections with four messages of 63 MiB each but for the last byte: memory is bounded by server."""

import time

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent

WHOLE = 63 * frames.MEBIBYTE
PIECE = b"y" * frames.FRAME
# The MiB that a server may hold of unfinished messages with default settings, and a little beside them.
MOST_GROWTH = 640


def send_halves(connection, calls):
    for call in range(1, calls + 1):
        connection.send(frames.request(call, frames.DO, 1, b"x", whole=WHOLE, timeout_us=1_000_000))
        left = WHOLE - 2
        while left > 0:
            connection.send(frames.frame(frames.DATA, frames.MORE, 0, call, PIECE[:left]))
            left -= len(PIECE)


def attack(scene):
    with scene.server(workers=4) as server:
        before = server.resident()
        connections = [Connection(server.address) for _ in range(4)]
        for connection in connections:
            try:
                send_halves(connection, 4)
                connection.ping()
            except (OSError, EOFError):
                scene.figure("a connection was ended by the server")
        grown = server.resident() - before
        scene.figure(f"{grown:.0f} MiB more resident while {4 * 4 * 63} MiB are on their way")
        scene.want(grown < MOST_GROWTH, f"{grown:.0f} MiB are held for four silent connections")
        scene.want(Innocent(server.address).answered(10) == 10, "innocent calls are not answered")
        if scene.full:
            for seconds in (5, 10, 20):
                time.sleep(seconds)
                scene.figure(f"{server.resident() - before:.0f} MiB more, {server.state()['open']} connections open")
            scene.want(server.resident() < 1.5 * before + 32, "memory is not given back")
