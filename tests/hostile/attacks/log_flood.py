"""Hellos that protobuf has something to say about: the log does not grow with them."""

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent


def attack(scene):
    hellos = 5000 if scene.full else 500
    with scene.server() as server:
        for _ in range(hellos):
            connection = Connection(server.address, shaken=False)
            # A node's name that is no UTF-8.
            connection.open(extra=frames.bytes_field(11, b"\xff\xfe\x1b[31m"))
            connection.close()
        scene.want(Innocent(server.address).answered(1) == 1, "an innocent call is not answered")
        lines = server.errors().splitlines()
        scene.figure(f"{len(lines)} lines for {hellos} connections")
        scene.want(len(lines) < 100, f"{len(lines)} lines in the log, such as {lines[:1]}")
        scene.want(not any("\x1b" in line for line in lines), "a peer's text is printed as it is")
