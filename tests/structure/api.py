#!/usr/bin/env python3
"""Writes docs/api.md out of the public headers' comments, or with --check says whether it is what they say.

Of each public header (docs/public_headers.txt) the page has the classes, functions and constants, each with the first
sentence of its comment: the header has the rest. Headers that only generated code includes are left out.
"""

import argparse
import pathlib
import re
import sys

sys.dont_write_bytecode = True

import surface
from source import _TOKEN

PAGE = "docs/api.md"
HEAD = """# The public headers, class by class

Written by `tests/structure/api.py` out of the headers' comments, of which it has the first sentences; the
headers say the rest. [public_headers.txt](public_headers.txt) is the list, and says which headers only
generated code includes: they are left out here.
"""

_MACRO = re.compile(r"\bWEFT_(?!DCHECK)[A-Z_]+(?:\([^()]*\))? ?|\[\[\w+\]\] ?")
_LABEL = re.compile(r"(public|protected|private)\s*:(?!:)")
_CLASS = re.compile(r"(?:template <.*> )?(class|struct|enum class) ([\w:<>]+)(?: final)?( ?: .*)?$", re.DOTALL)
# A value stands behind it, in braces or not.
_VALUE = re.compile(r"^(?!.*\boperator\b)[^()]*[^=!<>]=[^=]", re.DOTALL)
# Only weft calls it: nobody else has such an argument or a use for such a result. Awaiters are for co_await.
_INSIDE = re.compile(r"\binternal::(?!\w+Awaiter\b)|\b(?:AnswerFn|Shared)\b")
_PAIRS = {"(": ")", "{": "}", "[": "]"}


class Item:
    """A declaration: its text up to a body, the body's place if it has one, its comment."""

    def __init__(self, head, body, comment, shown):
        self.head = head
        self.body = body
        self.comment = comment
        self.shown = shown


def blanked(text):
    """The text with comments, strings and directives as spaces: of the same length."""
    spaces = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    code = _TOKEN.sub(spaces, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", spaces, code, flags=re.MULTILINE)


def end_of(code, at):
    """The place behind the bracket that closes the one at `at`."""
    depth = 0
    for place in range(at, len(code)):
        if code[place] in _PAIRS:
            depth += 1
        elif code[place] in _PAIRS.values():
            depth -= 1
            if depth == 0:
                return place + 1
    return len(code)


def comment_of(text, begin, end):
    """The words of the comment right above a declaration, or behind it on its line."""
    lines = text[:begin].split("\n")[:-1]
    above = []
    while lines and lines[-1].strip().startswith("//"):
        above.insert(0, lines.pop().strip()[2:])
    if not above:
        behind = re.match(r"[^\n]*?//([^\n]*)", text[end:])
        return [behind.group(1)] if behind and "NOLINT" not in behind.group(1) and "\n" not in text[begin:end] else []
    return [] if above[0].startswith(" ----") else above


def items(text, code, begin, end, shown):
    """The declarations between two places, in order."""
    at = begin
    while at < end:
        if code[at].isspace() or code[at] == ";":
            at += 1
            continue
        label = _LABEL.match(code, at)
        if label:
            shown = label.group(1) == "public"
            at = label.end()
            continue
        first, body = at, None
        while at < end and code[at] != ";":
            if code[at] == "{":
                close = end_of(code, at)
                if _VALUE.search(code[first:at]):
                    at = close
                    continue
                rest = code[close:end].lstrip()
                if re.search(r"\)[^()]*:(?!:)", code[first:at]) and rest[:1] in (",", "{"):
                    at = close
                    continue
                if body is None:
                    body = (at, close)
                at = close
                if rest[:1] != ";":
                    break
            elif code[at] in "([":
                at = end_of(code, at)
            else:
                at += 1
        stop = body[0] if body else at
        yield Item(" ".join(text[first:stop].split()), body, comment_of(text, first, at), shown)


def sentence(comment):
    """The first sentence of a comment."""
    words = []
    for line in comment:
        if not line.strip() or line.startswith("   ") or line.strip().startswith("----"):
            if words:
                break
            continue
        words.append(line.strip())
    text = " ".join(words)
    found = re.match(r"(.*?[^.][.:])(?= [A-Z`\"]|$)", text)
    text = found.group(1) if found else text
    return text[:-1] + "." if text.endswith(":") else text


def signature(head):
    """A declaration as the page shows it; None: it is not shown."""
    head = _MACRO.sub("", head).strip()
    if "NOLINT" in head or "requires(" in head:
        return None
    if re.match(r"(?:explicit )?(\w+)\(\1(?:<.*>)?(?:&&| &&|&) ?\w*\)", head):
        return None
    if re.search(r"\bfriend\b|= delete$|= default$|~|\boperator\b|\boverride$|^static_assert|^typedef", head):
        return None
    if "(" in head:
        head = re.sub(r"(\)(?: const)?(?: noexcept)?) : .*$", r"\1", head)
        head = re.sub(r" = 0$", "", head)
    if _INSIDE.search(head):
        return None
    head = re.sub(r"^(?:explicit|inline|virtual|constexpr) ", "", re.sub(r"^template <.*?> (?=[^>])", "", head))
    return re.sub(r"\( ", "(", head).strip()


def is_hidden(name):
    return name.endswith("_internal") or name == "internal" or not name


def declared(text, code, begin, end, shown, depth, bases):
    """The lines of the page for the declarations between two places."""
    for item in items(text, code, begin, end, shown):
        namespace = re.match(r"(?:inline )?namespace ?([\w:]*)$", item.head)
        if namespace and item.body:
            if not is_hidden(namespace.group(1)):
                yield from declared(text, code, item.body[0] + 1, item.body[1] - 1, True, depth, bases)
            continue
        if not item.shown or re.match(r"extern|using namespace", item.head):
            continue
        said = sentence(item.comment)
        said = f": {said}" if said else ""
        kind = _CLASS.match(_MACRO.sub("", item.head)) if item.body else None
        indent = "  " * depth
        if kind:
            if "<" in kind.group(2):
                continue
            yield f"{indent}- **`{kind.group(1)} {kind.group(2)}`**{said}"
            if kind.group(1) == "enum class":
                names = re.findall(r"\b(k[A-Z]\w*)", code[slice(*item.body)])
                yield f"{indent}  - " + ", ".join(f"`{name}`" for name in dict.fromkeys(names))
            else:
                inside = kind.group(1) == "struct"
                yield from declared(text, code, item.body[0] + 1, item.body[1] - 1, inside, depth + 1, bases)
                for base in re.findall(r"public (?:\w+::)*(\w+)", kind.group(3) or ""):
                    if base in bases:
                        other, its, of = bases[base]
                        yield from declared(other, its, of.body[0] + 1, of.body[1] - 1, False, depth + 1, bases)
            continue
        shape = signature(item.head)
        if shape and not re.match(r"(?:class|struct|enum class) [\w:]+$", shape):
            yield f"{indent}- `{shape}`{said}"


def sections(root):
    """Of the list of headers: each title, and its headers."""
    found = []
    for line in (root / surface.LIST).read_text(encoding="utf-8").splitlines():
        if line.startswith("# ----"):
            found.append((line[6:].strip(), []))
        elif line.strip() and not line.startswith(("#", " ")):
            found[-1][1].append(line.split(maxsplit=1))
    return [(title, headers) for title, headers in found if not title.startswith("Generated code")]


def bases_of(root):
    """The classes of headers that are installed and not public: what public classes inherit stands there."""
    public = {header for _, header, _ in surface.listed(root)}
    found = {}
    for header in sorted(surface.installed(root) - public):
        if header.endswith(".h") and (root / header).is_file():
            text = (root / header).read_text(encoding="utf-8")
            collect(text, blanked(text), 0, len(text), found)
    return found


def collect(text, code, begin, end, found):
    for item in items(text, code, begin, end, True):
        if item.body and item.head.startswith("namespace"):
            collect(text, code, item.body[0] + 1, item.body[1] - 1, found)
        kind = _CLASS.match(_MACRO.sub("", item.head)) if item.body else None
        if kind and kind.group(1) != "enum class":
            found[kind.group(2)] = (text, code, item)


def page(root):
    lines, bases = [HEAD], bases_of(root)
    beside, installed = {}, surface.installed(root)
    for _, header, above in surface.companions(root):
        beside.setdefault(above, []).append(header)
    for title, headers in sections(root):
        lines += [f"## {title}", ""]
        for header, purpose in headers:
            text = (root / header).read_text(encoding="utf-8")
            code = blanked(text)
            lines += [f"### [weft/{header}](../{header})", "", purpose[0].upper() + purpose[1:] + ".", ""]
            lines += [*declared(text, code, 0, len(code), True, 0, bases), ""]
            for other in beside.get(header, ()):
                text = (root / other).read_text(encoding="utf-8")
                code = blanked(text)
                brings = "With it comes" if other in installed else "It only names the class of a header that is not installed,"
                lines += [f"{brings} [weft/{other}](../{other}):", ""]
                lines += [*declared(text, code, 0, len(code), True, 0, bases), ""]
    return "\n".join(lines).rstrip() + "\n"


def names(root):
    """The names in namespace weft that the public headers and those that come with them declare."""
    found = set()
    for _, header, _ in (*surface.listed(root), *surface.companions(root)):
        text = (root / header).read_text(encoding="utf-8")
        names_of(text, blanked(text), 0, len(text), found)
    return found


def names_of(text, code, begin, end, found):
    for item in items(text, code, begin, end, True):
        head = _MACRO.sub("", item.head)
        if "#" in head:
            continue
        namespace = re.match(r"(?:inline )?namespace ?([\w:]*)$", head)
        if namespace:
            if namespace.group(1) == "weft":
                names_of(text, code, item.body[0] + 1, item.body[1] - 1, found)
            continue
        kind = _CLASS.match(head) if item.body else None
        shape = kind.group(2) if kind else re.sub(r"^template <.*?> (?=[^>])", "", head)
        using = re.match(r"using (\w+) =", shape)
        other = using or re.search(r"(\w+)(?:<[^<>]*>)?\s*(?:\(|=|$)", shape)
        forward = not kind and re.match(r"(?:class|struct|enum class) \w+$|using namespace|static_assert", shape)
        if other and not forward:
            found.add(other.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--check", action="store_true", help="only compare")
    arguments = parser.parse_args()
    wanted, path = page(arguments.root), arguments.root / PAGE
    if not arguments.check:
        path.write_text(wanted, encoding="utf-8")
        return 0
    there = path.read_text(encoding="utf-8") if path.is_file() else ""
    if there == wanted:
        return 0
    pairs = enumerate(zip(there.splitlines() + [""], wanted.splitlines() + [""]), 1)
    number, line = next((n, w) for n, (t, w) in pairs if t != w)
    print(f"{PAGE}:{number}: the headers say otherwise: run tests/structure/api.py; it writes\n  {line}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
