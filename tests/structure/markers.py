"""No notes about work left undone, anywhere in the tree: it is done, or it is an issue."""

import pathlib
import re

from source import broken

ROOMS = ["core", "rpc", "codegen", "bench", "tests", "docs"]
FILES = ["CMakeLists.txt", "CMakePresets.json", "README.md", "dev", ".ci/run"]
SUFFIXES = {".h", ".cc", ".proto", ".py", ".sh", ".md", ".txt", ".cmake", ".in", ".json", ""}
# Spelled so that this file does not find itself.
MARKER = re.compile(r"\b(FIX" r"ME|TO" r"DO|XX" r"X|HA" r"CK)\b")


def check(root):
    root = pathlib.Path(root)
    paths = [root / name for name in FILES if (root / name).is_file()]
    for room in ROOMS:
        paths += [p for p in sorted((root / room).rglob("*")) if p.is_file() and p.suffix in SUFFIXES]
    faults = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        if name.startswith("tests/fuzz/corpus/"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
            found = MARKER.search(line)
            if found:
                faults.append(broken(name, number, f"a note of work left undone: {found.group(0)}"))
    return faults
