#!/usr/bin/env python3
"""Runs attacks on the built server and says what became of each.

    run.py --server build/dev/tests/hostile/hostile_server --client build/dev/tests/hostile/hostile_client [attack...]

It judges things that no slow machine changes: counts, texts, whether the server lives, whether anybody hangs. Times and
memory are printed for people to judge. --full makes the attacks as large as they can be; without it each ends within a
second or two. --list names them.
"""

import argparse
import importlib
import os
import pathlib
import subprocess
import sys
import threading
import traceback

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from peer.server import Server

# No attack takes so many seconds, and what hangs ends this program.
PATIENCE, FULL_PATIENCE = 100, 600


class Scene:
    """The tools of an attack: programs to start, and its findings."""

    def __init__(self, server, client, full):
        self.full = full
        self.faults = []
        self._server, self._client = server, client

    def server(self, **options):
        return Server(self._server, **options)

    def client(self, address, **options):
        """A process of hostile_client."""
        arguments = [str(self._client), "--address", "{}:{}".format(*address)]
        for name, value in options.items():
            arguments += [f"--{name.replace('_', '-')}", str(value)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    def figure(self, text):
        print(f"    {text}", flush=True)

    def want(self, holds, otherwise):
        if not holds:
            self.faults.append(otherwise)
            print(f"    FAULT: {otherwise}", flush=True)


def hang(name):
    print(f"    FAULT: {name} hangs", flush=True)
    os._exit(1)


def run(name, scene):
    module = importlib.import_module(f"attacks.{name}")
    print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
    watch = threading.Timer(FULL_PATIENCE if scene.full else PATIENCE, hang, [name])
    watch.daemon = True
    watch.start()
    try:
        module.attack(scene)
    except Exception:
        scene.want(False, traceback.format_exc())
    finally:
        watch.cancel()


def main():
    names = sorted(path.stem for path in (HERE / "attacks").glob("*.py") if path.stem != "__init__")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=pathlib.Path)
    parser.add_argument("--client", type=pathlib.Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("attacks", nargs="*", metavar="attack")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(names))
        return 0
    if arguments.server is None or arguments.client is None:
        parser.error("--server and --client say which programs")
    unknown = set(arguments.attacks) - set(names)
    if unknown:
        parser.error(f"no attack {', '.join(sorted(unknown))}; --list names them")
    failed = []
    for name in arguments.attacks or names:
        scene = Scene(arguments.server, arguments.client, arguments.full)
        run(name, scene)
        if scene.faults:
            failed.append(name)
    print(f"faults: {', '.join(failed)}" if failed else "no faults")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
