"""Reads what the headers declare: their classes, with bases, methods, data members and friends.

A small parser of tokens, not a compiler: it knows the C++ that weft's headers are written in. Comments, strings,
preprocessor lines, attributes and the macros of the thread contract are gone before it begins.
"""

import re

from source import code_of

_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
# WEFT_LOOP_ONLY, WEFT_LOOP_OWNED, WEFT_ANY_THREAD, WEFT_GUARDED_BY(mu_), ABSL_... with their arguments.
_MACRO = re.compile(r"\b(?:WEFT_LOOP_ONLY|WEFT_LOOP_OWNED|WEFT_ANY_THREAD|(?:WEFT|ABSL)_[A-Z0-9_]+)\b")
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.']*|::|->|&&|\[\[|\]\]|\.\.\.|\S")
_NAME = re.compile(r"[A-Za-z_]\w*$")
_OPEN = {"(": ")", "[": "]", "{": "}", "[[": "]]"}
_KEYS = ("class", "struct", "union")


class Token(str):
    """A token and the line on which it stands."""

    def __new__(cls, text, line):
        token = super().__new__(cls, text)
        token.line = line
        return token


class Class:
    """The declarations of one class's own body; nested classes count for themselves."""

    def __init__(self, key, name, line, outer=None):
        self.key = key
        self.name = f"{outer.name}::{name}" if outer else name
        self.line = line
        self.outer = outer
        self.bases = []
        self.methods = {}  # name: line; overloads are one
        self.accessors = {}  # name: line
        self.members = {}  # name: line
        self.friends = {}  # name of a class: line
        self.declared = set()  # names of nested classes that are defined elsewhere
        self.virtual = False
        self.specialization = False


def tokens_of(text):
    code = code_of(text)
    code = _DIRECTIVE.sub(lambda match: "\n" * match.group(0).count("\n"), code)
    tokens, line, end = [], 1, 0
    for match in _TOKEN.finditer(code):
        line += code.count("\n", end, match.start())
        end = match.start()
        tokens.append(Token(match.group(0), line))
    return _without_macros(tokens)


def _without_macros(tokens):
    kept, at = [], 0
    while at < len(tokens):
        if tokens[at] == "[[" or tokens[at] in ("alignas", "noexcept", "explicit", "__attribute__"):
            opening = at if tokens[at] == "[[" else at + 1
        elif _MACRO.match(tokens[at]):
            opening = at + 1
        else:
            kept.append(tokens[at])
            at += 1
            continue
        if opening < len(tokens) and tokens[opening] in ("(", "[["):
            at = closing(tokens, opening) + 1
        else:
            at += 1
    return kept


def closing(tokens, at):
    """The place of the bracket that closes the one at `at`."""
    waiting = [_OPEN[tokens[at]]]
    while waiting:
        at += 1
        if at >= len(tokens):
            raise ValueError("a bracket is not closed")
        if tokens[at] == waiting[-1]:
            waiting.pop()
        elif tokens[at] in _OPEN:
            waiting.append(_OPEN[tokens[at]])
    return at


def _closing_angle(tokens, at):
    """The place of the > that closes the < at `at`; arguments of templates only."""
    depth = 0
    while at < len(tokens):
        if tokens[at] == "<":
            depth += 1
        elif tokens[at] == ">":
            depth -= 1
            if depth == 0:
                return at
        elif tokens[at] in _OPEN:
            at = closing(tokens, at)
        at += 1
    raise ValueError("a < is not closed")


class Reader:
    def __init__(self, text):
        self.tokens = tokens_of(text)
        self.classes = []

    def read(self):
        self._scope(0, len(self.tokens), None)
        return self.classes

    def _scope(self, at, end, owner):
        while at < end:
            token = self.tokens[at]
            if token in (";", "}"):
                at += 1
            elif owner and token in ("public", "private", "protected") and self.tokens[at + 1] == ":":
                at += 2
            else:
                at = self._declaration(at, end, owner)

    def _skip_template(self, at):
        while self.tokens[at] == "template" and self.tokens[at + 1] == "<":
            at = _closing_angle(self.tokens, at + 1) + 1
            if self.tokens[at] == "requires":
                at += 1
                while True:
                    at = closing(self.tokens, at) + 1 if self.tokens[at] == "(" else self._skip_name(at)
                    if self.tokens[at : at + 1] != ["&&"]:
                        break
                    at += 1
        return at

    def _skip_name(self, at):
        while _NAME.match(self.tokens[at]) or self.tokens[at] == "::":
            at += 1
            if self.tokens[at] == "<":
                return _closing_angle(self.tokens, at) + 1
        return at

    def _declaration(self, at, end, owner):
        """Reads one and returns the place behind it."""
        at = self._skip_template(at)
        tokens = self.tokens
        begin = at
        if tokens[at] == "namespace" or (tokens[at] == "extern" and tokens[at + 1] == '"'):
            while tokens[at] not in ("{", ";", "="):
                at += 1
            if tokens[at] == "{":
                last = closing(tokens, at)
                self._scope(at + 1, last, None)
                return last + 1
            return self._to_semicolon(at)
        if tokens[at] == "friend":
            after = self._function_or_data(at + 1, end, None)
            if owner and tokens[at + 1] in _KEYS:
                name = [token for token in tokens[at + 2 : after] if _NAME.match(token)]
                owner.friends[name[-1]] = tokens[at].line
            return after
        if tokens[at] in ("using", "typedef", "static_assert", "concept"):
            return self._to_semicolon(at)
        if tokens[at] == "enum":
            while tokens[at] not in ("{", ";"):
                at += 1
            last = closing(tokens, at) if tokens[at] == "{" else at - 1
            return last + 2 if tokens[last + 1] == ";" else self._function_or_data(last + 1, end, owner)
        if tokens[at] in _KEYS:
            place = at + 1
            while tokens[place] not in ("{", ";", "(", "=", ":") and place < end:
                place = _closing_angle(tokens, place) if tokens[place] == "<" else place
                place += 1
            if tokens[place] == ";":
                words = tokens[at + 1 : place]
                if len(words) == 1 or "<" in words:
                    if owner:
                        owner.declared.add(str(words[0]))
                    return place + 1
            elif tokens[place] in ("{", ":"):
                return self._class(at, place, owner)
        return self._function_or_data(begin, end, owner)

    def _class(self, at, place, owner):
        tokens = self.tokens
        names = [token for token in tokens[at + 1 : place] if token != "final"]
        name = next((token for token in names if _NAME.match(token)), "")
        made = Class(tokens[at], name, tokens[at].line, owner)
        made.specialization = "<" in names
        while tokens[place] != "{":
            place += 1
            base = ""
            while tokens[place] not in (",", "{"):
                if tokens[place] == "<":
                    place = _closing_angle(tokens, place)
                elif _NAME.match(tokens[place]):
                    base = tokens[place]
                place += 1
            made.bases.append(str(base))
        last = closing(tokens, place)
        if not name and owner and tokens[at] == "union":
            # Its members are the class's own.
            self._scope(place + 1, last, owner)
        else:
            self.classes.append(made)
            self._scope(place + 1, last, made)
        if tokens[last + 1] != ";" and owner:
            return self._function_or_data(last + 1, len(tokens), owner)
        return last + 2

    def _to_semicolon(self, at):
        while self.tokens[at] != ";":
            at = closing(self.tokens, at) if self.tokens[at] in _OPEN else at
            at += 1
        return at + 1

    def _function_or_data(self, at, end, owner):
        tokens = self.tokens
        begin, parameters, name = at, None, None
        operator, is_static = False, False
        initialized, named = False, False  # of the declarator that is being read
        names = []
        while at < end:
            token = tokens[at]
            if token == ";":
                at += 1
                break
            if token in ("static", "constexpr"):
                is_static = True
            if token == "operator":
                operator = True
                at += 1
                words = []
                while tokens[at] != "(" or (tokens[at + 1] == ")" and not words):
                    words.append(tokens[at])
                    at += 1
                name = "operator" + " ".join(words)
                continue
            if token == "<" and not initialized and not operator:
                at = _closing_angle(tokens, at) + 1
                continue
            if token == "(":
                last = closing(tokens, at)
                if parameters is None and not initialized:
                    pointer = tokens[at + 1] in ("*", "&")
                    if pointer and tokens[last + 1] == "(":
                        names.append(tokens[last - 1])
                        named = True
                        at = closing(tokens, last + 1) + 1
                        continue
                    parameters = (at, last)
                    if name is None:
                        before = tokens[at - 1]
                        name = ("~" if tokens[at - 2] == "~" else "") + before
                at = last + 1
                continue
            if token == "=" and not operator:
                if parameters is None and not named:
                    names.append(self._declared_before(at))
                initialized = named = True
                at += 1
                continue
            if token == "," and parameters is None:
                if not named:
                    names.append(self._declared_before(at))
                initialized = named = False
                at += 1
                continue
            if token == ":" and parameters is not None:
                at = self._initializers(at + 1)
                continue
            if token == "{":
                last = closing(tokens, at)
                if parameters is not None and not initialized:
                    self._method(owner, name, begin, parameters, (at, last))
                    return last + 1
                if not named:
                    names.append(self._declared_before(at))
                initialized = named = True
                at = last + 1
                continue
            if token == "[":
                at = closing(tokens, at) + 1
                continue
            at += 1
        if parameters is not None:
            self._method(owner, name, begin, parameters, None)
        elif owner is not None and not is_static:
            if not named:
                names.append(self._declared_before(at - 1))
            for one in names:
                owner.members[str(one)] = tokens[begin].line
        return at

    def _declared_before(self, at):
        """The name that is declared right before this place: its array's brackets and its bits passed over."""
        tokens = self.tokens
        at -= 1
        while not _NAME.match(tokens[at]) or tokens[at - 1] == ":":
            if tokens[at] == "]":
                while tokens[at] != "[":
                    at -= 1
            at -= 1
        return tokens[at]

    def _initializers(self, at):
        """From behind the : of a constructor to its body."""
        tokens = self.tokens
        while True:
            while tokens[at] not in ("(", "{"):
                at = _closing_angle(tokens, at) + 1 if tokens[at] == "<" else at + 1
            at = closing(tokens, at) + 1
            if tokens[at] == "...":
                at += 1
            if tokens[at] != ",":
                return at
            at += 1

    def _method(self, owner, name, begin, parameters, body):
        if owner is None:
            return
        tokens = self.tokens
        if "virtual" in tokens[begin : parameters[0]]:
            owner.virtual = True
        line = tokens[begin].line
        if body and parameters[1] == parameters[0] + 1 and self._is_accessor(body, line):
            owner.accessors[str(name)] = line
        else:
            owner.methods.setdefault(str(name), line)

    def _is_accessor(self, body, line):
        """{ return one_member; } on one line, or what one call on that member says."""
        tokens = self.tokens
        if tokens[body[1]].line != line or tokens[body[0] + 1] != "return":
            return False
        words = tokens[body[0] + 2 : body[1]]
        if words and words[0] in ("*", "&"):
            words = words[1:]
        text = "".join(words)
        return re.fullmatch(r"[A-Za-z_]\w*(?:(?:\.|->)\w+(?:\([\w:]*\))?)?;", text) is not None


def classes_of(text):
    """Every class whose definition stands in this text, nested ones among them, in order."""
    return Reader(text).read()
