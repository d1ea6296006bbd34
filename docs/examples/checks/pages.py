"""Reads a markdown page: its code blocks, links and headings."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]


@dataclasses.dataclass
class Block:
    language: str
    text: str
    line: int


def blocks(page):
    """The fenced code blocks of a page, in order."""
    found, begin, language, lines = [], 0, "", []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not begin and line.startswith("```"):
            begin, language, lines = number, line[3:].strip(), []
        elif begin and line == "```":
            found.append(Block(language, "".join(each + "\n" for each in lines), begin))
            begin = 0
        elif begin:
            lines.append(line)
    if begin:
        raise ValueError(f"{page}:{begin}: a code block without an end")
    return found


def prose(page):
    """A page's lines with their numbers, without code blocks."""
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def program(page, language):
    """All blocks of a language, in order, an empty line between two: one file."""
    return "\n".join(block.text for block in blocks(page) if block.language == language)


def same_but_for_numbers(text):
    """Ports, times and the like differ from run to run."""
    text = re.sub(r"(127\.0\.0\.1|\[::1\]):\d+", r"\1:PORT", text)
    text = re.sub(r"\d+(\.\d+)?(ms|us| ms| us)\b", "TIME", text)
    return text


def markdown():
    """Every page of the project."""
    pages = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
    return [page for page in pages if page.is_file()]
