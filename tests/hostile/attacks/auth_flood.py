"""Connections with a wrong token, and a slow authenticator: who has connected before goes on being served."""

import time

from peer.connection import Connection
from peer.innocent import Innocent, Latencies


def attack(scene):
    many_at_once(scene)
    if scene.full:
        at_a_low_rate(scene)


def many_at_once(scene):
    with scene.server(workers=4, token="secret", auth_ms=3000) as server:
        innocent = Innocent(server.address, token=b"good")
        scene.want(innocent.answered(1) == 1, "a client is not answered before the attack")
        bad = [Connection(server.address, token=b"wrong") for _ in range(60)]
        answered = innocent.answered(10)
        scene.want(answered == 10, f"{answered} of 10 calls are answered while authenticators run")
        for connection in bad:
            connection.close()


def at_a_low_rate(scene):
    """120 connections in a second, where four workers and 50 ms would do 80."""
    with scene.server(workers=4, token="secret", auth_ms=50) as server:
        innocent = Latencies(server.address, token=b"good")
        time.sleep(2)
        scene.figure(f"before: {innocent.since(0)}")
        begin = time.monotonic()
        for number in range(1800):
            connection = Connection(server.address, shaken=False)
            connection.open(token=b"wrong")
            connection.close()
            time.sleep(max(0.0, begin + number / 120 - time.monotonic()))
        innocent.stop()
        scene.figure(f"during: {innocent.since(begin)}, {innocent.errors} errors")
        scene.want(innocent.errors == 0, "innocent calls fail")
