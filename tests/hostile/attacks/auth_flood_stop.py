"""Connections that wait for the authenticator, closed again, and Stop: nobody is authenticated any more."""

import time

from peer.connection import Connection

WORKERS = 4


def attack(scene):
    with scene.server(workers=WORKERS, token="secret", auth_ms=50 if scene.full else 200,
                      drain_ms=2000 if scene.full else 200) as server:
        connections = 2000 if scene.full else 300
        for _ in range(connections):
            connection = Connection(server.address, shaken=False)
            connection.open(token=b"wrong")
            connection.close()
        while server.state()["accepted"] < connections:
            time.sleep(0.01)
        begin = time.monotonic()
        state = server.stop()
        scene.figure(f"Stop took {time.monotonic() - begin:.2f} s")
        # A thread may be about to run one when Stop begins.
        begun = state["auth_begun_after_stop"]
        scene.want(begun <= WORKERS, f"{begun} connections are authenticated after Stop began")
