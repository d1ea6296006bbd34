"""Frames and openings that break the rules: their connection ends, and nothing else."""

import struct

from peer import frames
from peer.connection import Connection
from peer.innocent import Innocent

F = frames


def openings():
    good = F.PREFACE + F.hello()
    yield "no bytes of ours", b"GET / HTTP/1.1\r\n\r\n"
    yield "half a preface, then others", F.PREFACE[:4] + b"\0" * 64
    yield "no Hello", F.PREFACE + F.frame(F.PING)
    yield "an empty Hello", F.PREFACE + F.frame(F.HELLO)
    yield "a Hello of noise", F.PREFACE + F.frame(F.HELLO, body=b"\xff" * 40)
    yield "a second Hello", good + F.hello()
    yield "a version of the future", F.PREFACE + F.frame(F.HELLO, body=F.number_field(1, 9) + F.number_field(2, 9))
    yield "an ability of the future", F.PREFACE + F.hello(extra=F.number_field(18, 1 << 40))
    yield "frames that are too short", F.PREFACE + F.hello(extra=F.number_field(3, 16))


def frames_that_end_the_connection():
    request = F.request(1, F.DO, 1, F.job(1))
    yield "a type that is unknown", F.frame(99)
    yield "type 0", F.frame(0)
    yield "a frame of 4 GiB", F.frame(F.DATA, call=1, length=0xFFFFFFFF)
    yield "a frame one byte too long", F.frame(F.DATA, call=1, length=F.FRAME + 1)
    yield "a PING with bytes", F.frame(F.PING, body=b"x")
    yield "a PING with a flag", F.frame(F.PING, F.MORE)
    yield "a CANCEL with bytes", F.frame(F.CANCEL, call=1, body=b"x")
    yield "an empty DATA", F.frame(F.DATA, call=1)
    yield "DATA of no call", F.frame(F.DATA, call=5, body=b"x")
    yield "a REQUEST of 3 bytes", F.frame(F.REQUEST, F.END, 1, 1, b"abc")
    yield "call 0", F.request(0, F.DO, 1)
    yield "a call with its highest bit", F.request(1 << 63, F.DO, 1)
    yield "a call that does not rise", request + F.request(1, None, 1)
    yield "a method number that was not bound", F.request(1, None, 7)
    yield "a method number that is too high", F.request(1, F.DO, 65535)
    yield "a name beyond its frame", F.frame(F.REQUEST, F.END | F.NAMED, 1, 1, struct.pack("<QH", 0, 500) + b"x")
    yield "a name of no bytes", F.frame(F.REQUEST, F.END | F.NAMED, 1, 1, struct.pack("<QH", 0, 0))
    yield "metadata beyond its frame", F.frame(F.REQUEST, F.END | F.METADATA, 1, 1, struct.pack("<QI", 0, 1 << 31))
    yield "an attachment beyond its frame", F.frame(F.REQUEST, F.END | F.NAMED | F.ATTACHMENT, 1, 1,
                                                    struct.pack("<QH", 0, len(F.DO)) + F.DO + struct.pack("<I", 99))
    yield "a whole size below the piece's", F.request(1, F.DO, 1, b"x" * 100, whole=10)
    yield "a whole size beyond 2 GiB", F.request(1, F.DO, 1, b"x", whole=0x80000000)
    yield "pieces beyond the whole size", F.request(1, F.DO, 1, b"x", whole=10) + F.frame(F.DATA, 0, 0, 1, b"y" * 50)
    yield "pieces that end before it", F.request(1, F.DO, 1, b"x", whole=99) + F.frame(F.DATA, 0, 0, 1, b"y")
    yield "a message that would inflate to 4 GiB", F.request(1, F.DO, 1, b"x" * 30, codec=(F.ZSTD, 0xFFFFFFFF))
    yield "a REQUEST without END that has a message", F.request(1, F.UP, 1, b"x", end=False)
    yield "a RESPONSE without END", F.frame(F.RESPONSE, 0, 0, 1, b"\0" * 4)
    yield "a MESSAGE of no call", F.frame(F.MESSAGE, 0, 0, 9, b"x")
    yield "a MESSAGE behind END", F.request(1, F.UP, 1, end=False) + 2 * F.frame(F.MESSAGE, F.END, 0, 1, F.job(1))
    yield "a WINDOW of three bytes", F.frame(F.WINDOW, call=0, body=b"abc")
    yield "a WINDOW beyond 2 GiB", 2 * F.frame(F.WINDOW, call=0, body=b"\xff\xff\xff\x7f")
    yield "HEADERS of no call", F.frame(F.HEADERS, call=9)


def requests_that_are_refused():
    yield "a method that there is not", F.request(1, b"hostile.Target/Nothing", 1)
    yield "a message that is none", F.request(1, F.DO, 1, b"\xff" * 20)
    yield "a codec that is unknown", F.request(1, F.DO, 1, b"x", codec=(9, 10))
    yield "a message that does not inflate", F.request(1, F.DO, 1, b"x" * 30, codec=(F.GZIP, 1000))
    yield "one that would inflate to 2 GiB", F.request(1, F.DO, 1, b"x" * 30, codec=(F.ZSTD, 0x7FFFFFFF))
    yield "a message over the limit", F.request(1, F.DO, 1, b"x", whole=(64 << 20) + 1)
    yield "metadata of noise", F.frame(F.REQUEST, F.END | F.NAMED | F.METADATA, 1, 1,
                                       struct.pack("<QH", 0, len(F.DO)) + F.DO + struct.pack("<I", 4) + b"\xff" * 4)


def attack(scene):
    count = 0
    with scene.server(io=2) as server:
        innocent = Innocent(server.address)
        for name, data in openings():
            count += 1
            connection = Connection(server.address, shaken=False)
            connection.send(data)
            connection.receive_all_bytes()
        for name, data in frames_that_end_the_connection():
            count += 1
            connection = Connection(server.address)
            connection.send(data)
            kinds = [got.kind for got in connection.receive_all()]
            # The answer of a call that was under way may still come behind it.
            scene.want(F.GOAWAY in kinds, f"{name}: ends without GOAWAY, with {kinds}")
        for name, data in requests_that_are_refused():
            count += 1
            connection = Connection(server.address)
            connection.send(data)
            try:
                got = connection.receive_until(F.RESPONSE)
                scene.want(got.aux != F.OK, f"{name}: is answered with OK")
                connection.ping()
            except (OSError, EOFError) as error:
                scene.want(False, f"{name}: {error!r}")
            connection.close()
        scene.figure(f"{count} inputs")
        scene.want(innocent.answered(10) == 10, "innocent calls are not answered")
        scene.want(server.alive(), f"the server has ended: {server.errors()[-300:]}")
