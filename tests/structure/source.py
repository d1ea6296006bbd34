"""Reads the tree's sources as the checks see them: by line, with and without comments and strings."""

import pathlib
import re

SUFFIXES = {".h", ".cc"}

_TOKEN = re.compile(
    r"""
    (?P<raw>R"(?P<mark>[^()\s\\]{0,16})\(.*?\)(?P=mark)")
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<char>(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+')
  | (?P<line>//[^\n]*)
  | (?P<block>/\*.*?\*/)
    """,
    re.VERBOSE | re.DOTALL,
)


def code_of(text):
    """The text with comments, strings and characters blanked; lines keep their numbers."""

    def blank(match):
        kept = "\n" * match.group(0).count("\n")
        if match.lastgroup in ("line", "block"):
            return kept or " "
        return '""' + kept

    return _TOKEN.sub(blank, text)


def comments_of(text):
    """The numbers of the lines on which a comment of one line stands, from 1."""
    return (line for line, _, _ in line_comments_of(text))


def line_comments_of(text):
    """Of each comment of one line: the line, if it stands there alone, and its words."""
    line, end = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", end, match.start())
        end = match.start()
        if match.lastgroup == "line":
            alone = text[text.rfind("\n", 0, end) + 1:end].strip() == ""
            yield line, alone, match.group(0).lstrip("/<").strip()


class Source:
    """One file: its path below the root, its text, its lines, and its code without comments and strings."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.split("\n")
        self.code = code_of(self.text).split("\n")

    @property
    def is_header(self):
        return self.path.endswith(".h")


def sources(root, *rooms):
    """Every .h and .cc below the rooms, in order of path."""
    root = pathlib.Path(root)
    for room in rooms:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in SUFFIXES and path.is_file():
                yield Source(root, path)


def broken(path, line, rule):
    """How every check names what it found."""
    return f"{path}:{line}: {rule}"
