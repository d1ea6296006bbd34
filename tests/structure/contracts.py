"""Every header says in the comment above it which threads may touch what it declares: a line '// Threads  ...'.

That and the lines beside it (Owns, Errors, Ends) begin lines of their own, and what follows them stands below their
text. A formatter that breaks long comments anew runs such lines together, and tears what is drawn: so no comment is
longer than a line, the first comment's paragraphs fill their lines, and no line of a drawing is the rest of the one
before.
"""

import re

from source import broken, comments_of, sources

COLUMNS = 100
WORDS = "Threads|Owns|Errors|Ends"
THREADS = re.compile(r"// Threads  \S")
CONTRACT = re.compile(rf"// ({WORDS})  +\S")
CONTINUED = re.compile(r"// {10}\S")
RUN_TOGETHER = re.compile(rf"// .*\S +({WORDS})  +\S")
PROSE = re.compile(r"// \S")
DRAWING = re.compile(r"//( {2,})\S")
# Marks of a line of a drawing that the rest of a torn one has not: columns, lines and arrows.
DRAWN = re.compile(r"\S {2,}\S|[─-▟▲►▼◄→←]")
FEW_WORDS = 3

GENERATED = "tests/golden/"


def first_word_fits(line, following):
    return len(line) + 1 + len(following[2:].split()[0]) <= COLUMNS


def head_of(source):
    """The comment at the top of a header."""
    head = []
    for line in source.lines:
        if not line.startswith("//"):
            break
        head.append(line)
    return head


def torn(head):
    """(line number, fault) for each place where a formatter has torn this comment."""
    in_contract = False
    drawing = ""  # the indentation of the one that is being read
    for number, (line, following) in enumerate(zip(head, head[1:] + ["//"]), 1):
        blank = not following[2:].strip()
        if CONTRACT.match(line):
            in_contract = True
        if in_contract:
            if not line[2:].strip() or blank or CONTRACT.match(following):
                continue
            if not CONTINUED.match(following):
                yield number + 1, "a line of the contract goes on below its word, not below its text"
            elif first_word_fits(line, following):
                yield number, "a line of the contract ends early: the next one's first word has room in it"
            continue
        indented = DRAWING.match(line)
        drawing = (drawing or indented.group(1)) if indented else ""
        if blank:
            continue
        if PROSE.match(line) and PROSE.match(following) and not CONTRACT.match(following):
            if first_word_fits(line, following):
                yield number, "a line ends early: the next one's first word has room in it"
        elif drawing and following.startswith(f"//{drawing}") and following[len(drawing) + 2] != " ":
            rest = following[2:].strip()
            broken_off = not first_word_fits(line, following) and not line.endswith((";", "{", "}"))
            if broken_off and len(rest.split()) <= FEW_WORDS and not DRAWN.search(rest):
                yield number + 1, "a drawing is torn: this is the rest of the line before"


def check(root):
    faults = []
    for source in sources(root, "core", "rpc"):
        if not source.is_header:
            continue
        head = head_of(source)
        if not head:
            faults.append(broken(source.path, 1, "begins without a comment that says what it is"))
        elif not any(THREADS.match(line) for line in head):
            faults.append(broken(source.path, 1, "its first comment has no '// Threads  ...' line"))
        for number, line in enumerate(head, 1):
            if RUN_TOGETHER.match(line):
                faults.append(broken(source.path, number, "a line of the contract runs into the one before"))
    for source in sources(root, "core", "rpc", "codegen", "bench", "tests"):
        if source.path.startswith(GENERATED):
            continue
        for number in comments_of(source.text):
            if len(source.lines[number - 1]) > COLUMNS:
                faults.append(broken(source.path, number, f"a comment goes beyond column {COLUMNS}"))
        if source.is_header:
            faults += [broken(source.path, number, fault) for number, fault in torn(head_of(source))]
    return faults
