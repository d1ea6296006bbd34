"""Messages of 63 MiB announced by a few bytes, where address space is limited: the server lives and serves."""

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent

WHOLE = 63 * frames.MEBIBYTE
LIMIT = 4 << 30


def first_pieces():
    return b"".join(frames.request(call, frames.DO, 1, b"x", whole=WHOLE) for call in range(1, 5))


def attack(scene):
    after_the_verdict(scene)
    before_the_verdict(scene)


def after_the_verdict(scene):
    with scene.server(workers=4, address_space=LIMIT) as server:
        connections = []
        for _ in range(64):
            try:
                connection = Connection(server.address)
                connections.append(connection)
                connection.send(first_pieces())
                connection.ping()
            except (OSError, EOFError):
                break  # ended by the server, or the server has
        scene.figure(f"{len(connections) * len(first_pieces())} bytes sent")
        scene.want(server.alive(), f"the server has ended: {server.errors()[-300:]}")
        if server.alive():
            judge(scene, server, Innocent(server.address))


def before_the_verdict(scene):
    with scene.server(workers=4, address_space=LIMIT, token="secret", auth_ms=60_000) as server:
        innocent = Innocent(server.address, token=b"good")
        connections = []
        for _ in range(30):
            try:
                connection = Connection(server.address, shaken=False)
                connections.append(connection)
                connection.open(first_pieces(), token=b"wrong")
            except OSError:
                break
        # `innocent` was let in before: the authenticator is busy with the others for a minute.
        judge(scene, server, innocent)


def judge(scene, server, innocent):
    answered = innocent.answered(10)
    scene.want(server.alive(), f"the server has ended: {server.errors()[-300:]}")
    scene.want(answered == 10, f"{answered} of 10 innocent calls are answered")
