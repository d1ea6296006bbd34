"""A comment's sentences begin with their subject or a verb.

"What the loop reads", "Whoever comes late" and "One that is full" make a reader wait for the end of the sentence to learn
what it is about, and "Counted are all bytes" turns it round. Questions are allowed. The check reads comments of C++,
protobuf, Python, CMake and ./dev, and docstrings.
"""

import ast
import io
import pathlib
import re
import tokenize

from source import broken, line_comments_of

ROOMS = ("core", "rpc", "codegen", "bench", "tests", "docs/examples")
SUFFIXES = {".h", ".cc", ".proto", ".py", ".cmake", ".in"}
FILES = ("CMakeLists.txt", "dev")
# Made by the plugin: its comments are those of the .proto files.
MADE = "tests/golden/"

RIDDLE = re.compile(
    r"(?:What|Whatever|Whether|Whichever|Who|Whoever|Whom|Whose|(?:One|Those|Some) (?:that|who|whose|which))\b"
    r"|(?:Checked|Counted|Judged|Kept|Left|Measured|Seen|Sent|Told) (?:is|are|was|were)\b")
# A sentence begins the comment, a paragraph of it, or behind another one.
BEGINS = re.compile(r"(?:^|[.!?][)\"`]? )(?=[A-Z])")
ENDS = re.compile(r"[.!?](?=[)\"`]?(?: [A-Z`\"]|$))")
# The parts of a header's contract are paragraphs of their own.
CONTRACT = re.compile(r"(?:Threads|Owns|Errors|Ends) {2,}")


def _python_comments(text):
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            yield token.start[0], token.line[:token.start[1]].strip() == "", token.string[1:].strip()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            first = node.body[0].value
            for number, line in enumerate(first.value.split("\n"), first.lineno):
                yield number, True, line.strip()


def _hash_comments(text):
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#") and not line.startswith("#!"):
            yield number, True, line.strip()[1:].strip()


def _comments(name, text):
    """(line, whether nothing stands before it, text) of each line of a comment."""
    if name.endswith((".h", ".cc", ".proto")):
        return line_comments_of(text)
    return _python_comments(text) if name.endswith(".py") else _hash_comments(text)


def _paragraphs(name, text):
    """Each paragraph of a comment: a list of (line, text)."""
    paragraph, last = [], 0
    for number, alone, words in _comments(name, text):
        if paragraph and (number != last + 1 or not alone or not words or CONTRACT.match(words)):
            yield paragraph
            paragraph = []
        if words:
            paragraph.append((number, words))
        last = number if alone else 0
    if paragraph:
        yield paragraph


def _riddles(paragraph):
    """(line, first words) of each sentence of the paragraph that begins as it should not."""
    text = " ".join(words for _, words in paragraph)
    for match in BEGINS.finditer(text):
        begin = match.end()
        riddle = RIDDLE.match(text, begin)
        end = ENDS.search(text, begin)
        if not riddle or (end and end.group(0) == "?"):
            continue
        at = 0
        for number, words in paragraph:
            at += len(words) + 1
            if begin < at:
                yield number, " ".join(text[begin:].split(" ")[:3])
                break


def _paths(root):
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if (path.suffix in SUFFIXES or path.name == "CMakeLists.txt") and path.is_file():
                yield path
    yield from (root / name for name in FILES if (root / name).is_file())


def check(root):
    root = pathlib.Path(root)
    faults = []
    for path in _paths(root):
        name = path.relative_to(root).as_posix()
        if name.startswith((MADE, "tests/fuzz/corpus/")):
            continue
        for paragraph in _paragraphs(name, path.read_text(encoding="utf-8")):
            for number, words in _riddles(paragraph):
                faults.append(broken(name, number, f"a sentence begins with \"{words}\": say first what it is about"))
    return faults
