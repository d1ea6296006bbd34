"""A server shakes hands and closes while large calls wait: each call ends by its deadline."""

import socket
import subprocess
import threading

from peer import frames


class HelloThenEnd:
    """Shakes hands with each who dials, reads a little, and closes."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.dials = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self._listener.accept()
            self.dials += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection):
        try:
            with connection:
                connection.sendall(frames.PREFACE + frames.hello())
                connection.recv(1 << 16)
        except OSError:
            pass


def attack(scene):
    rounds, timeout_ms = (20, 2000) if scene.full else (4, 250)
    hung = 0
    for _ in range(rounds):
        server = HelloThenEnd()
        client = scene.client(server.address, calls=40, bytes=300_000, timeout_ms=timeout_ms)
        try:
            client.wait(20)
        except subprocess.TimeoutExpired:
            hung += 1
            client.kill()
            client.wait()
            if not scene.full:
                break
        scene.figure(f"{server.dials} dials")
    scene.want(hung == 0, f"{hung} clients hang")
