"""Checks who may include whom.

    rpc/cli -> rpc -> rpc/console | rpc/mesh -> rpc/server | rpc/client -> rpc/protocol -> rpc/call -> rpc/base -> core
    rpc/default_protocols.cc -> rpc/protocol/*: the one file that names protocols, in includes and in forward declarations
    rpc/testing -> rpc/call: for users' tests, which include it themselves
    rpc/server | rpc/client -> rpc/*_options.h -> rpc/protocol: what users set stands at the top, and is values only
    codegen -> protobuf's compiler library, rpc/options.proto
    nothing -> bench, tests, docs

Arrows go down only. A third party stands in one place, and none of its types in a header of rpc.
"""

import fnmatch
import re

from source import broken, sources

# Each room and the rooms right below it; what those may include, it may too.
ARROWS = {
    "core": [],
    "rpc/options": [],
    "rpc/base": ["core", "rpc/options"],
    "rpc/call": ["rpc/base"],
    "rpc/testing": ["rpc/call"],
    "rpc/protocol": ["rpc/call"],
    "rpc/protocol/native": ["rpc/protocol"],
    "rpc/protocol/grpc": ["rpc/protocol"],
    "rpc/protocol/http": ["rpc/protocol"],
    "rpc/*_options.h": ["rpc/protocol"],
    "rpc/server": ["rpc/*_options.h"],
    "rpc/client": ["rpc/*_options.h"],
    "rpc/console": ["rpc/server", "rpc/client"],
    "rpc/mesh": ["rpc/server", "rpc/client"],
    "rpc": ["rpc/console", "rpc/mesh"],
    "rpc/default_protocols.cc": ["rpc", "rpc/protocol/native", "rpc/protocol/grpc", "rpc/protocol/http"],
    "rpc/cli": ["rpc"],
    "codegen": ["rpc/options"],
}

# A third party's headers and the files that may include them. The first prefix that fits decides.
THIRD_PARTIES = {
    "event2/": ["core/*.cc"],
    "ares.h": ["core/dns_client.cc"],
    "openssl/": ["core/tls_*.cc"],
    "prometheus/": ["core/metrics*.cc"],
    "zlib.h": ["rpc/base/compression.cc"],
    "zstd.h": ["rpc/base/compression.cc"],
    "nghttp2/": ["rpc/protocol/grpc/h2_session.cc"],
    "google/protobuf/compiler/": ["codegen/*"],
    "google/protobuf/": ["rpc/*", "codegen/*"],
    "absl/": ["*"],
}

# The kernel's and the C library's. Headers of the standard library have neither a slash nor a suffix.
SYSTEM = re.compile(r"(sys|netinet|arpa|net|linux)/[a-z_0-9]+\.h$")
C_LIBRARY = set(
    """errno fcntl inttypes limits netdb poll pthread sched signal stdarg stddef stdint stdio stdlib string strings
    syscall time unistd immintrin""".split()
)

FOREIGN_TYPES = re.compile(
    r"\b(event_base|bufferevent|evbuffer|evutil_\w+|ares_\w+|prometheus::|nghttp2_\w+|z_stream|ZSTD_\w+|SSL_CTX|SSL)\b"
)

# A protocol's namespace, as an include or a forward declaration of its classes would bring it.
PROTOCOL_NAMES = re.compile(r"(?<!endian::)\b(native|http|grpc|h2)::|\bnamespace\s+(weft::)?(internal::)?(native|http|grpc|h2)\b")

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    """core/a.h -> core, rpc/server.h -> rpc, rpc/protocol/native/b.h -> rpc/protocol/native."""
    folders = path.split("/")[:-1]
    if path.startswith("rpc/options."):
        return "rpc/options"
    if path == "rpc/default_protocols.cc":
        return path
    if re.fullmatch(r"rpc/\w+_options\.h", path):
        return "rpc/*_options.h"
    return "/".join(folders)


def below(room):
    """Every room that a room may include, itself among them."""
    reached, waiting = set(), [room]
    while waiting:
        at = waiting.pop()
        if at not in reached:
            reached.add(at)
            waiting.extend(ARROWS[at])
    return reached


def cycle_of(graph):
    """A list of headers that include each other in a ring, or None."""
    done = set()

    def visit(node, trail):
        if node in trail:
            return trail[trail.index(node):] + [node]
        if node in done:
            return None
        for target in sorted(graph.get(node, ())):
            found = visit(target, trail + [node])
            if found:
                return found
        done.add(node)
        return None

    for node in sorted(graph):
        found = visit(node, [])
        if found:
            return found
    return None


def check(root):
    faults = []
    headers = {}
    alone = set()
    for source in sources(root, "core", "rpc", "codegen"):
        room = room_of(source.path)
        if room not in ARROWS:
            faults.append(broken(source.path, 1, f"room {room} is not in the include graph (tests/structure)"))
            continue
        allowed = below(room)
        if source.is_header and room != "codegen" and source.path != "core/requirements.h":
            alone.add(source.path)
        for number, (line, code) in enumerate(zip(source.lines, source.code), 1):
            # A template's text includes nothing.
            match = INCLUDE.match(line) if "include" in code else None
            if not match:
                continue
            quote, name = match.groups()

            def fault(rule):
                faults.append(broken(source.path, number, f"{rule}: {line.strip()}"))

            if name.startswith("weft/"):
                alone.discard(source.path)
                target = name[len("weft/"):]
                made_of = re.sub(r"\.pb\.h$", ".proto", target)
                if quote != '"':
                    fault('weft\'s own headers are included with ""')
                if not (root / made_of).is_file():
                    fault("no such file")
                elif room_of(target) not in allowed:
                    fault(f"{room} must not include {room_of(target)}")
                elif source.is_header and target.endswith(".h"):
                    headers.setdefault(source.path, set()).add(target)
                continue
            party = next((p for p in THIRD_PARTIES if name.startswith(p)), None)
            if party:
                if not any(fnmatch.fnmatch(source.path, where) for where in THIRD_PARTIES[party]):
                    what = party + "..." if party.endswith("/") else party
                    fault(f"<{what}> belongs in {', '.join(THIRD_PARTIES[party])} only")
            elif not (
                SYSTEM.match(name)
                or re.fullmatch(r"[a-z_0-9]+", name)
                or (name.endswith(".h") and name[:-2] in C_LIBRARY)
            ):
                fault("neither weft/..., nor the system's, nor a third party that the include graph knows")
        if not room.startswith(("rpc/protocol/", "rpc/default_protocols.cc")):
            for number, line in enumerate(source.code, 1):
                found = PROTOCOL_NAMES.search(line)
                if found:
                    faults.append(broken(source.path, number, f"names a protocol: {found.group(0).strip()}"))
        if source.is_header and source.path.startswith("rpc/"):
            for number, line in enumerate(source.code, 1):
                found = FOREIGN_TYPES.search(line)
                if found:
                    faults.append(broken(source.path, number, f"a third party's type in a header: {found.group(0)}"))
    for path in sorted(alone):
        faults.append(broken(path, 1, "includes nothing of weft's: weft/core/requirements.h at least"))
    ring = cycle_of(headers)
    if ring:
        faults.append(broken(ring[0], 1, "headers include each other: " + " -> ".join(ring)))
    return faults
