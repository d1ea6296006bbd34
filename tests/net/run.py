#!/usr/bin/env python3
"""Runs meshes of real processes in network namespaces, breaks what is between them, and judges what each node wrote.

    run.py --node build/dev/tests/net/mesh_node [--repeat N] [--at-once N] [case...]

It judges things that no slow machine changes: counts, orders, states, texts, and that things come to their end. Times
are printed for people. --list names the cases. Needs ip, ss, nft, unshare and nsenter, and namespaces: as root, or where
users may make namespaces of their own.
"""

import argparse
import concurrent.futures
import importlib
import os
import pathlib
import shutil
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

INSIDE = "WEFT_NET_INSIDE"
# No case takes so many seconds, and what hangs ends this program.
PATIENCE = 240


class Case:
    """The tools of a case, and its findings."""

    def __init__(self, program, name):
        self.program, self.name = program, name
        self.faults, self.text, self._meshes = [], [], []
        self._began = time.monotonic()

    def mesh(self, size, **how):
        """Returns a mesh that is gone when the case is over."""
        from scene.mesh import Mesh
        mesh = Mesh(self.program, self, size, **how)
        self._meshes.append(mesh)
        return mesh

    def close(self):
        for mesh in self._meshes:
            mesh.close()

    def figure(self, text):
        self.text.append(f"    {text}")

    def want(self, holds, otherwise):
        if not holds:
            self.faults.append(otherwise)
            if len(self.faults) <= 20:
                self.figure(f"FAULT: {otherwise}")
        return holds

    def report(self, about):
        took = time.monotonic() - self._began
        verdict = "FAILED" if self.faults else "ok"
        return "\n".join([f"{verdict}: {self.name} ({took:.0f} s): {about}", *self.text])


def cases():
    """{name: function}: all functions called Case… of the modules beside."""
    found = {}
    for path in sorted((HERE / "cases").glob("*.py")):
        if path.stem == "__init__":
            continue
        module = importlib.import_module(f"cases.{path.stem}")
        for name, value in vars(module).items():
            if name.startswith("Case"):
                found[name] = value
    return dict(sorted(found.items()))


def hang(name):
    print(f"FAILED: {name} hangs", flush=True)
    os._exit(1)


def run(program, name, function):
    from scene.mesh import Fault
    case = Case(program, name)
    watch = threading.Timer(PATIENCE, hang, [name])
    watch.daemon = True
    watch.start()
    try:
        function(case)
    except Fault as fault:
        case.want(False, str(fault))
    except Exception:
        case.want(False, traceback.format_exc())
    finally:
        try:
            case.close()
        finally:
            watch.cancel()
    print(case.report(function.__doc__.splitlines()[0]), flush=True)
    return bool(case.faults)


def enter_namespace():
    """This program again, as root of namespaces of its own."""
    for tool in ("ip", "ss", "tc", "nft", "unshare", "nsenter", "setpriv"):
        if shutil.which(tool) is None:
            sys.exit(f"no {tool} here: ./dev setup installs it")
    command = ["unshare", "-n", sys.executable, "-B", *sys.argv]
    if os.geteuid() != 0:
        command.insert(1, "-r")
    os.environ[INSIDE] = "1"
    os.execvp(command[0], command)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", type=pathlib.Path)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("cases", nargs="*", metavar="case")
    arguments = parser.parse_args()
    known = cases()
    if arguments.list:
        for name, function in known.items():
            print(f"{name}: {function.__doc__.splitlines()[0]}")
        return 0
    if arguments.node is None:
        parser.error("--node says which program")
    unknown = set(arguments.cases) - set(known)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; --list names them")
    if INSIDE not in os.environ:
        enter_namespace()
    chosen = [name for name in known if not arguments.cases or name in arguments.cases]
    # The long ones first, so that none is alone at the end.
    chosen.sort(key=lambda name: -getattr(known[name], "seconds", 10))
    failed = {}
    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        runs = [(name, pool.submit(run, arguments.node.resolve(), name, known[name]))
                for _ in range(arguments.repeat) for name in chosen]
        for name, future in runs:
            if future.result():
                failed[name] = failed.get(name, 0) + 1
    if failed:
        print(f"failed: {', '.join(f'{name} {times} of {arguments.repeat}' for name, times in sorted(failed.items()))}")
    else:
        print(f"all {len(chosen)} cases hold, {arguments.repeat} times")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
