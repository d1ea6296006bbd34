#!/usr/bin/env python3
"""The pages say what is so: check_docs.py <rule>... ; without a rule, all of them.

  links     every link leads to a file of the tree, and to a heading of it
  paths     every file named in the text exists
  names     every class, member and constant named in the text, or in a picture, stands in the sources
  options   the tables of settings in operations.md have the headers' members and defaults
  excerpts  a c++ block is a piece of an example, or of a header; a cpp block stands on the page of a program
  graph     the picture of rooms in architecture.md is what tests/structure allows
  texts     the texts of errors in errors.md stand in the sources
  reasons   the table of reasons in errors.md is close_reason.h's
  verbs     every './dev <verb>' is one of dev's
  prose     no sentence begins with words that make a reader look twice: One that, Those that, Whoever, What, Whether

Each finding is a line "file:line: what"; there is none when all is well.
"""

import pathlib
import re
import sys
import textwrap

import pages

ROOT = pages.ROOT
SPAN = re.compile(r"`([^`]+)`")


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def files(*patterns):
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern)) if path.is_file()]


def sources():
    return files("core/**/*.h", "core/**/*.cc", "rpc/**/*.h", "rpc/**/*.cc", "rpc/**/*.proto", "codegen/**/*.h",
                 "codegen/**/*.cc")


def finding(page, line, what):
    return f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}:{line}: {what}"


# ---- links


def anchor(heading):
    """Returns the anchor that GitHub makes of a heading."""
    text = re.sub(r"[`*]", "", heading.lower())
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")


def anchors(page):
    return {anchor(line.lstrip("#").strip()) for _, line in pages.prose(page) if line.startswith("#")}


def links(all_pages):
    for page in all_pages:
        for number, line in pages.prose(page):
            for target in re.findall(r"\]\(([^)\s]+)\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, heading = target.partition("#")
                file = (page.parent / path) if path else page
                if not file.exists():
                    yield finding(page, number, f"the link leads nowhere: {target}")
                elif heading and file.suffix == ".md" and heading not in anchors(file):
                    yield finding(page, number, f"no such heading: {target}")


# ---- paths


def paths(all_pages):
    rooms = re.compile(r"(core|rpc|codegen|bench|tests|docs)/[\w/.*+-]*$")
    for page in all_pages:
        for number, line in pages.prose(page):
            for span in SPAN.findall(line):
                if rooms.match(span) and not any(ROOT.glob(span.rstrip("/"))):
                    yield finding(page, number, f"no such file: {span}")


# ---- names


def words_of_sources():
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources() + files("tests/golden/*.h"))
    return set(re.findall(r"\w+", text))


def names_in(text):
    """The parts of a span that has the form of a name: X, X::Y, X::Y(), kX, LIKE_THIS."""
    if re.fullmatch(r"(::)?\w+(::\w+)*(\(\w*\))?", text) and re.match(r"(weft::)?([A-Z]\w*[a-z]\w*|k[A-Z]\w*)", text):
        yield from (word for word in re.findall(r"\w+", text) if not word.isdigit())


def names(all_pages):
    known = words_of_sources()
    for page in all_pages:
        # Names that a page's own program declares are known on that page too.
        own = known | set(re.findall(r"\w+", "\n".join(block.text for block in pages.blocks(page)
                                                       if block.language in ("cpp", "proto"))))
        for number, line in pages.prose(page):
            for span in SPAN.findall(line):
                for word in names_in(span):
                    if word not in own:
                        yield finding(page, number, f"nothing is named {word}: `{span}`")
        for block in pages.blocks(page):
            if block.language != "mermaid":
                continue
            for label in re.findall(r'"([^"]+)"', block.text):
                for word in re.findall(r"\b[A-Z][a-z]\w*\b", label.replace("<br/>", " ")):
                    if word not in known:
                        yield finding(page, block.line, f"nothing is named {word}, which the picture shows")


# ---- options


def members(header, struct):
    """Member and default of a struct's members, in order."""
    body = re.search(r"struct " + struct + r" \{\n(.*?)\n\};", read(header), re.DOTALL).group(1)
    body = re.sub(r"//[^\n]*", "", body)
    return re.findall(r"(\w+) = ([^;]+);", body)


def proto_options(kind_of):
    body = re.search(r"extend google\.protobuf\." + kind_of + r" \{(.*?)\n\}", read("rpc/options.proto"),
                     re.DOTALL).group(1)
    zero = {"bool": "false", "uint32": "0", "string": '""'}
    return [(f"weft.{name}", zero[kind])
            for kind, name in re.findall(r"^  (\w+) (\w+) = \d+;", body, re.MULTILINE)]


OPTIONS = {
    "ServerOptions": "rpc/server_options.h",
    "ListenerOptions": "rpc/listener_options.h",
    "ChannelOptions": "rpc/channel_options.h",
    "NodeOptions": "rpc/node.h",
    "BroadcastOptions": "rpc/mesh/broadcast_options.h",
    "RetryPolicy": "rpc/call/retry_policy.h",
    "HedgingPolicy": "rpc/call/retry_policy.h",
    "RetryBudgetOptions": "rpc/call/retry_policy.h",
    "SessionLimits": "rpc/protocol/session_limits.h",
    "RuntimeOptions": "core/runtime.h",
    "PoolOptions": "core/runtime.h",
    "ServiceOptions": "rpc/method_options.h",
    "MethodOptions": "rpc/method_options.h",
    "OverloadOptions": "rpc/overload_options.h",
    "CallOptions": "rpc/call/call_options.h",
    "MembersFileOptions": "rpc/mesh/members_file.h",
}


def tables(page):
    """(heading, line number, cells) of each row of the page's tables, the head of a table among them."""
    heading = ""
    for number, line in pages.prose(page):
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        elif line.startswith("|") and not re.fullmatch(r"[|\- ]+", line):
            yield heading, number, [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def options(page):
    rows = {}
    for heading, number, cells in tables(page):
        if cells[0] not in ("setting", "option"):
            rows.setdefault(heading, []).append((number, cells[0].strip("`"), cells[1].strip("`")))
    wanted = {struct: members(header, struct) for struct, header in OPTIONS.items()}
    wanted["Options of methods"] = proto_options("MethodOptions")
    wanted["Options of services"] = proto_options("ServiceOptions")
    for heading, want in wanted.items():
        got = rows.get(heading, [])
        for number, name, default in got:
            if (name, default) not in want:
                real = dict(want).get(name)
                yield finding(page, number, f"{heading} has no {name}" if real is None
                              else f"{heading}: {name} is {real}, not {default}")
        for name, _ in want:
            if name not in [row[1] for row in got]:
                yield finding(page, got[0][0] if got else 1, f"{heading}: {name} is missing")


# ---- excerpts


def plain(text):
    """Lines without their margins, so that a piece may stand further left than in its file."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def excerpts(all_pages):
    whole = [plain(path.read_text(encoding="utf-8"))
             for path in files("docs/examples/**/*.cc", "core/**/*.h", "rpc/**/*.h")]
    for page in all_pages:
        for block in pages.blocks(page):
            if block.language == "c++" and not any(plain(block.text) in text for text in whole):
                yield finding(page, block.line, "this stands in no example and no header:\n"
                              + textwrap.indent(block.text, "    "))
            program = ROOT / "docs/examples" / page.stem.lower() / "CMakeLists.txt"
            if block.language == "cpp" and not program.is_file():
                yield finding(page, block.line, "the page has no program; a piece of another one is a c++ block")


# ---- graph


def allowed_graph():
    sys.path.insert(0, str(ROOT / "tests" / "structure"))
    from include_graph import ARROWS  # pylint: disable=import-outside-toplevel

    def here(room):
        return bool((ROOT / room).is_file() or list(ROOT.glob(room if "*" in room else room + "/*.h"))
                    or list(ROOT.glob(room + ".proto")))

    def real(room):
        """The room, or what stands below it where there is none yet."""
        if here(room):
            yield room
        else:
            for below in ARROWS[room]:
                yield from real(below)

    edges = {(room, below) for room in ARROWS if here(room) for each in ARROWS[room] for below in real(each)}

    def reach(room):
        return {room}.union(*(reach(below) for above, below in edges if above == room))

    # Without those that another way says already.
    return {(room, below) for room, below in edges
            if not any(below in reach(other) for above, other in edges if above == room and other != below)}


def graph(page):
    drawn, line = set(), 1
    for block in pages.blocks(page):
        found = re.findall(r'\w+\["([^"]+)"\] --> \w+\["([^"]+)"\]', block.text)
        if block.language == "mermaid" and found:
            drawn, line = set(found), block.line
            break
    for above, below in sorted(allowed_graph() - drawn):
        yield finding(page, line, f"the picture lacks {above} -> {below}")
    for above, below in sorted(drawn - allowed_graph()):
        yield finding(page, line, f"the picture has {above} -> {below}, which tests/structure does not")


# ---- texts


def literals():
    """All texts of the sources, those that stand side by side joined."""
    found = []
    for path in sources():
        text = re.sub(r'^\s*(#include|//)[^\n]*', "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for run in re.findall(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', text):
            parts = re.findall(r'"((?:[^"\\\n]|\\.)*)"', run)
            found.append("".join(parts).replace('\\"', '"'))
    return found


def stands_in(fragment, texts):
    """True if the sources hold the fragment, in one text or in two that are put together."""
    joined = "\n".join(texts)
    return fragment in joined or any(
        any(text.endswith(fragment[:i]) for text in texts) and any(text.startswith(fragment[i:]) for text in texts)
        for i in range(2, len(fragment) - 1))


def texts(page):
    said, column = literals(), None
    for _, number, cells in tables(page):
        if cells[0] in ("code", "reason"):
            column = cells.index("text") if "text" in cells else None
            continue
        for span in SPAN.findall(cells[column]) if column is not None and column < len(cells) else ():
            for fragment in span.split("…"):
                fragment = fragment.strip().strip("()")
                if len(fragment) > 2 and not stands_in(fragment, said):
                    yield finding(page, number, f"nothing in the sources says '{fragment}'")


# ---- reasons


def reasons(page):
    enum = re.search(r"enum class CloseReason[^{]*\{(.*?)\};", read("rpc/protocol/close_reason.h"), re.DOTALL).group(1)
    want = re.findall(r"^\s*(k\w+)", enum, re.MULTILINE)
    spoken = dict(re.findall(r'case CloseReason::(k\w+):\s*return "([^"]*)"', read("rpc/protocol/close_reason.cc")))
    got = {cells[0].strip("`"): (number, cells[1].strip("`"))
           for _, number, cells in tables(page) if cells[0].startswith("`k")}
    for reason in want:
        if reason not in got:
            yield finding(page, 1, f"CloseReason::{reason} is missing")
    for reason, (number, text) in got.items():
        if spoken.get(reason) != text:
            yield finding(page, number, f"{reason} is spoken of as '{spoken.get(reason)}', not '{text}'")


# ---- verbs


def verbs(all_pages):
    known = set(re.findall(r"^  ([a-z-]+)\)", read("dev"), re.MULTILINE))
    for page in all_pages:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            for verb in re.findall(r"\./dev ([a-z-]+)", line):
                if verb not in known:
                    yield finding(page, number, f"dev has no verb '{verb}'")


# ---- prose


RIDDLES = re.compile(r"(?:One|Those) (?:that|who|which)\b|Who(?:m|so)?ever\b|What(?:ever)?\b|Whether\b")
# A sentence, an item of a list, or a cell of a table begins here.
BEGINS = re.compile(r"(?:^|[.;!?:]) *(?:(?:[-*]|\d+\.) +)?$")


def prose(all_pages):
    for page in all_pages:
        before = ""  # what stands before this line in its paragraph
        for number, line in pages.prose(page):
            if line.startswith("#") or not line.strip():
                before = ""
                continue
            for cell in re.split(r"(?<!\\)\|", line) if line.startswith("|") else [before + " " + line.strip()]:
                for riddle in RIDDLES.finditer(cell, 0 if line.startswith("|") else len(before)):
                    if BEGINS.search(cell[:riddle.start()].strip(" ") + " "):
                        # A question in a table or a picture's caption ends with its mark.
                        if not re.match(r"[^.;:]*\?", cell[riddle.start():]):
                            yield finding(page, number, f"a sentence begins with '{riddle.group()}'")
            before = "" if line.startswith("|") else line.strip()[-40:]


def rules():
    docs = ROOT / "docs"
    return {
        "links": lambda: links(pages.markdown()),
        "paths": lambda: paths(pages.markdown()),
        "names": lambda: names(pages.markdown()),
        "options": lambda: options(docs / "operations.md"),
        "excerpts": lambda: excerpts(pages.markdown()),
        "graph": lambda: graph(docs / "architecture.md"),
        "texts": lambda: texts(docs / "errors.md"),
        "reasons": lambda: reasons(docs / "errors.md"),
        "verbs": lambda: verbs(pages.markdown()),
        "prose": lambda: prose(pages.markdown()),
    }


def main(asked):
    found = [line for rule in asked or rules() for line in rules()[rule]()]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
