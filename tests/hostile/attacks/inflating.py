"""Messages that inflate from 2 KiB to 63 MiB: they are refused, and other calls are served meanwhile."""

import struct

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent

WHOLE = 63 * frames.MEBIBYTE
BLOCK = 128 << 10


def bomb(whole=WHOLE):
    """A zstd frame (RFC 8878): one raw block with the head of a payload, then blocks that repeat one byte."""
    head = frames.varint(2 << 3 | 2) + frames.varint(whole - 5)
    left = whole - len(head)
    out = [bytes.fromhex("28B52FFD"), b"\xA0", struct.pack("<I", whole), _block(0, len(head)), head]
    while left > 0:
        size = min(left, BLOCK)
        left -= size
        out += [_block(1, size, last=left == 0), b"a"]
    return b"".join(out)


def _block(kind, size, last=False):
    return struct.pack("<I", size << 3 | kind << 1 | last)[:3]


def attack(scene):
    message = bomb()
    calls = 300 if scene.full else 10
    with scene.server(workers=4) as server:
        innocent = Innocent(server.address)
        innocent.call()
        connection = Connection(server.address)
        connection.send(b"".join(frames.request(call, frames.DO, 1, message, codec=(frames.ZSTD, WHOLE))
                                 for call in range(1, calls + 1)))
        connection.ping()
        answered = innocent.answered(10)
        scene.want(answered == 10, f"{answered} of 10 innocent calls are answered")
        statuses = {}
        for _ in range(calls):
            status = connection.receive_until(frames.RESPONSE).aux
            statuses[status] = statuses.get(status, 0) + 1
        scene.figure(f"{calls} messages of {len(message)} bytes ended with {statuses}; "
                     f"{server.cpu_seconds():.1f} s of CPU time, {server.resident():.0f} MiB resident")
        scene.want(set(statuses) == {frames.RESOURCE_EXHAUSTED}, "messages this dense are inflated")
        scene.want(server.alive(), "the server has ended")
