"""Holds the list of public headers, docs/public_headers.txt: short, true, and all that anybody is told to include.

The documentation, its examples, the projects of tests/install and generated code include headers of the list only. An
indented header comes with the one above it. Names of all other headers stand in weft::internal.
"""

import re

from source import broken

LIST = "docs/public_headers.txt"
LIMIT = 40

# Also installed: what .proto files import, and what is generated of it.
BESIDE = ("rpc/options.proto", "rpc/options.pb.h")

_ENTRY = re.compile(r"([a-z0-9_/]+\.h) +(\S.*)")
_INCLUDE = re.compile(r'^\s*#\s*include\s*["<]weft/([^">]+)[">]', re.MULTILINE)

# Where code for others stands.
SHOWN = ("README.md", "docs/**/*.md", "docs/examples/**/*.cc", "docs/examples/**/*.h", "tests/install/project/**/*.cc",
         "codegen/*_template.cc")


def listed(root):
    """The public headers in the order of the list: line, path, purpose."""
    path = root / LIST
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [], 1):
        if line.strip() and not line.startswith(("#", " ")):
            entry = _ENTRY.fullmatch(line)
            yield number, *(entry.groups() if entry else (line, ""))


def companions(root):
    """The indented lines of the list: line, path, and the listed header above."""
    path, above = root / LIST, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [], 1):
        if line.startswith(" ") and line.strip():
            yield number, line.strip(), above
        elif line.strip() and not line.startswith("#"):
            above = line.split()[0]


def closure(root, headers):
    """These headers and every one of weft's that they include, whoever includes it."""
    found, waiting = set(), list(headers)
    while waiting:
        header = waiting.pop()
        if header not in found:
            found.add(header)
            included = _INCLUDE.findall((root / header).read_text(encoding="utf-8"))
            waiting.extend(name for name in included if name not in BESIDE)
    return found


def installed(root):
    """Every file below include/weft of an installation."""
    return closure(root, (header for _, header, _ in listed(root))) | set(BESIDE)


# Of a header that is not public, all that may stand in namespace weft: names of public classes, told before their time.
_AHEAD = re.compile(r"(?:template <[^<>]*>|(?:class|struct) \w+;|enum class \w+ : \w+;|//.*)?")
_OUTSIDE = re.compile(r"^namespace weft \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def check_names(root, public):
    """Names of headers that are not public stand in weft::internal, or in a namespace of their room."""
    for folder in ("core", "rpc"):
        for path in sorted((root / folder).rglob("*.h")):
            name = path.relative_to(root).as_posix()
            text = path.read_text(encoding="utf-8") if name not in public else ""
            for block in _OUTSIDE.finditer(text):
                first = text.count("\n", 0, block.start(1)) + 1
                for number, line in enumerate(block.group(1).splitlines(), first):
                    if not _AHEAD.fullmatch(line.strip()):
                        yield broken(name, number, f"in namespace weft, and not public ({LIST}): {line.strip()}")
                        break


def check(root):
    if not (root / LIST).is_file():
        return []
    faults, public = [], set()
    for number, header, purpose in listed(root):
        if not purpose:
            faults.append(broken(LIST, number, f"neither a header with its purpose nor a comment: {header}"))
        elif not (root / header).is_file():
            faults.append(broken(LIST, number, f"no such file: {header}"))
        elif header in public:
            faults.append(broken(LIST, number, f"stands here twice: {header}"))
        public.add(header)
        if len(public) == LIMIT + 1:
            faults.append(broken(LIST, number, f"more than {LIMIT} public headers"))
    beside = set()
    for number, header, above in companions(root):
        if header in public or header in beside:
            faults.append(broken(LIST, number, f"stands here twice: {header}"))
        elif not (root / header).is_file():
            faults.append(broken(LIST, number, f"no such file: {header}"))
        elif not above:
            faults.append(broken(LIST, number, f"comes with no header: {header}"))
        beside.add(header)
    faults.extend(check_names(root, public | beside))
    for pattern in SHOWN:
        for path in sorted(root.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            for match in _INCLUDE.finditer(text):
                name = match.group(1)
                own = path.match("codegen/*") and name.startswith("codegen/")
                if name not in public and name not in BESIDE and not own:
                    line = text.count("\n", 0, match.start(1)) + 1
                    faults.append(broken(path.relative_to(root).as_posix(), line, f"not a public header ({LIST}): {name}"))
    return faults
