"""Questions in the same segment as a wrong token: nothing is answered but the verdict."""

from peer import frames
from peer.connection import Connection

SECRETS = (b"Target", b"DoInline", b"DoOrdered", b"67108864", b"max_message")


def attack(scene):
    for auth_ms in (0, 200):
        with scene.server(token="secret", auth_ms=auth_ms) as server:
            connection = Connection(server.address, shaken=False)
            connection.open(frames.request(1, b"x.Y/Z"), frames.request(2, b"hostile.Target/Nothing"),
                            frames.request(3, frames.DO, 1, frames.job(7)),
                            frames.request(4, frames.DO, whole=(64 << 20) + 5, end=True),
                            frames.frame(frames.PING, call=9), token=b"wrong")
            connection.skip_preface()
            got = connection.receive_all()
            for frame in got:
                for secret in SECRETS:
                    scene.want(secret not in frame.body, f"with {auth_ms} ms, {secret} is told: {frame}")
            statuses = {frame.call: frame.aux for frame in got if frame.kind == frames.RESPONSE}
            wrong = {call: status for call, status in statuses.items() if status != frames.UNAUTHENTICATED}
            scene.want(not wrong, f"with {auth_ms} ms, calls are answered by other than the verdict: {wrong}")
            scene.want(bool(got) and got[-1].kind == frames.GOAWAY and got[-1].aux == frames.UNAUTHENTICATED,
                       f"with {auth_ms} ms, the last word is not the verdict: {got[-1:]}")
            scene.want(server.state()["executed"] == 0, "a call is executed")
