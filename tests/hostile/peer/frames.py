"""The bytes of frames, as docs/native_protocol.md has them."""

import struct

PREFACE = bytes.fromhex("F7776566740D0A01")
HEADER = struct.Struct("<IBBHQ")

REQUEST, RESPONSE, DATA, CANCEL, WINDOW, PING, GOAWAY, GOAWAY_ACK, HEADERS, MESSAGE = range(1, 11)
HELLO = 16

END, MORE, COMPRESSED, METADATA, ATTACHMENT = 1, 2, 4, 8, 16
NAMED = NOT_EXECUTED = NO_MESSAGE = 64
REPLY = 128

GZIP, ZSTD = 1, 2
OK, RESOURCE_EXHAUSTED, UNAUTHENTICATED = 0, 8, 16

MEBIBYTE = 1 << 20
FRAME = 1 << 16


def frame(kind, flags=0, aux=0, call=0, body=b"", length=None):
    """One frame; `length` lies about its body."""
    return HEADER.pack(len(body) if length is None else length, kind, flags, aux, call) + body


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def number_field(field, number):
    return varint(field << 3) + varint(number)


def bytes_field(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def hello(token=b"", heartbeat_ms=0, stream_window=1 << 18, features=63, extra=b""):
    fields = [(1, 1), (2, 1), (3, FRAME), (4, 64 * MEBIBYTE), (5, 16384), (6, 10000), (7, 4096), (8, heartbeat_ms),
              (9, 2), (17, features), (19, stream_window), (20, 16 * MEBIBYTE)]
    body = b"".join(number_field(field, number) for field, number in fields)
    if token:
        body += bytes_field(10, token)
    return frame(HELLO, body=body + extra)


def request(call, name=None, method=0, message=b"", end=True, timeout_us=0, whole=None, codec=None):
    """`codec`: its number and the inflated size. `whole`: the message goes on in DATA frames."""
    flags = END if end else 0
    body = struct.pack("<Q", timeout_us)
    if name is not None:
        flags |= NAMED
        body += struct.pack("<H", len(name)) + name
    if codec is not None:
        flags |= COMPRESSED
        body += struct.pack("<BI", *codec)
    if whole is not None:
        flags |= MORE
        body += struct.pack("<I", whole)
    return frame(REQUEST, flags, method, call, body + message)


def response_error(flags, body):
    """The text of a RESPONSE that is not OK."""
    at = 4
    if flags & METADATA:
        at += 4 + struct.unpack_from("<I", body, at)[0]
    size = struct.unpack_from("<I", body, at)[0]
    return body[at + 4:at + 4 + size]


# ---- hostile.proto

DO, DO_INLINE, DO_ORDERED = b"hostile.Target/Do", b"hostile.Target/DoInline", b"hostile.Target/DoOrdered"
DOWN, UP = b"hostile.Target/Down", b"hostile.Target/Up"


def job(number=0, payload=b"", sleep_us=0, replies=0, reply_bytes=0):
    return number_field(1, number) + bytes_field(2, payload) + number_field(3, sleep_us) + number_field(
        4, replies) + number_field(5, reply_bytes)


def executed_before(done):
    """Of a Done."""
    at, value = 0, 0
    while at < len(done):
        key, at = _varint_at(done, at)
        number, at = _varint_at(done, at)
        if key == 2 << 3:
            value = number
        elif key & 7 == 2:
            at += number
    return value


def _varint_at(data, at):
    number, shift = 0, 0
    while True:
        number |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return number, at
