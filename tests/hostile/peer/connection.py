"""One raw connection: sends any bytes, reads frames."""

import socket
import typing

from . import frames

# Long enough for any machine; an answer that takes longer is none.
PATIENCE = 20


class Frame(typing.NamedTuple):
    kind: int
    flags: int
    aux: int
    call: int
    body: bytes


class Connection:
    """`shaken`: it has sent its opening and read the server's preface."""

    def __init__(self, address, shaken=True, **hello):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self._passed = []
        if shaken:
            self.open(**hello)
            self.skip_preface()

    def open(self, *behind, **hello):
        self.send(frames.PREFACE + frames.hello(**hello) + b"".join(behind))

    def skip_preface(self):
        self._take(len(frames.PREFACE))

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()

    def receive(self):
        """The next frame; EOFError where there is none any more."""
        return self._passed.pop(0) if self._passed else self._next()

    def _next(self):
        header = self._take(frames.HEADER.size)
        length, kind, flags, aux, call = frames.HEADER.unpack(header)
        return Frame(kind, flags, aux, call, self._take(length))

    def receive_until(self, kind):
        while True:
            got = self.receive()
            if got.kind == kind:
                return got

    def receive_all(self):
        """Every frame until the server closes."""
        got = []
        try:
            while True:
                got.append(self.receive())
        except (EOFError, ConnectionError):
            return got

    def receive_all_bytes(self):
        """Reads and drops all bytes until the server closes."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass

    def ping(self):
        """When it returns, the server's I/O thread has read everything sent before. Other frames that come meanwhile
        are kept for receive()."""
        self.send(frames.frame(frames.PING, call=77))
        while True:
            got = self._next()
            if got.kind == frames.PING and got.flags & frames.REPLY:
                return
            self._passed.append(got)

    def _take(self, size):
        while len(self._read) < size:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._read += data
        taken, self._read = self._read[:size], self._read[size:]
        return taken
