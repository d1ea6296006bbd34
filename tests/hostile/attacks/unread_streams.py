"""Streams that nobody reads, as many as there are workers: others are served."""

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent


def attack(scene):
    with scene.server(workers=4) as server:
        connection = Connection(server.address, stream_window=1024)
        message = frames.job(1, replies=100_000, reply_bytes=1000)
        streams = b"".join(frames.request(call, frames.DOWN, 1, message) for call in range(1, 5))
        connection.send(streams)
        connection.ping()
        answered = Innocent(server.address).answered(10)
        scene.figure(f"{len(streams)} bytes sent")
        scene.want(answered == 10, f"{answered} of 10 innocent calls are answered")
