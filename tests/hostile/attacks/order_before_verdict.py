"""Calls of an ordered method behind an authenticator, the first one large: they are executed in order."""

import time

from peer import frames
from peer.connection import Connection


def attack(scene):
    in_pieces(scene)
    by_a_channel(scene)


def in_pieces(scene):
    """The verdict comes between the pieces of the first call."""
    with scene.server(workers=4, token="slow", auth_ms=100) as server:
        connection = Connection(server.address, shaken=False)
        connection.open(token=b"slow")
        large = frames.job(1, payload=b"z" * 100_000)
        connection.send(frames.request(1, frames.DO_ORDERED, 1, large[:1000], whole=len(large)))
        for call in (2, 3):
            connection.send(frames.request(call, None, 1, frames.job(call)))
        while server.state()["auth_ended"] < 1:
            time.sleep(0.01)
        connection.skip_preface()
        connection.ping()
        connection.send(frames.frame(frames.DATA, frames.MORE, 0, 1, large[1000:50_000]))
        connection.send(frames.frame(frames.DATA, 0, 0, 1, large[50_000:]))
        for _ in range(3):
            connection.receive_until(frames.RESPONSE)
        judge(scene, "in pieces", server.state()["order"], 3)


def by_a_channel(scene):
    for _ in range(20 if scene.full else 3):
        for token in ("good", "slow"):
            with scene.server(workers=4, token="slow", auth_ms=100) as server:
                client = scene.client(server.address, calls=6, first_bytes=20_000_000 if scene.full else 8_000_000,
                                      ordered=1, token=token)
                client.wait(60)
                judge(scene, f"by a channel with the token {token}", server.state()["order"], 6)


def judge(scene, how, order, calls):
    scene.want(order == list(range(1, calls + 1)), f"{how}: executed {order}")
