"""Classes with one job, of core/ and rpc/: counted in their headers.

  - A class or struct with methods has at most 30 methods, 15 data members and 3 bases.
      methods   overloads count once, as do all constructors together; public or not. An accessor does not count: it
                takes nothing, stands on one line and returns one member, or one call on it
      members   static ones do not count
    What is nested counts for itself.
  - A header has one class. Beside it may stand what belongs to it: enums, nested classes, values (a struct without
    virtual functions, of at most 4 methods besides constructors and operators) and interfaces (virtual functions, no
    data members).
  - A source bears the name of a header beside it.
  - No class is a friend of one in another header.

Exceptions stand in classes.toml, each with its reason. The numbers of a class there are those that it has: it cannot
grow, and whoever makes it smaller writes that down. An exception that is no longer needed there is a fault.
"""

import pathlib
import tomllib

from declarations import classes_of
from source import broken, sources

LIMITS = {"methods": 30, "members": 15, "bases": 3}
VALUE_METHODS = 4
EXCEPTIONS = "tests/structure/classes.toml"
KINDS = {"class", "header", "source", "friend"}


class Counted:
    """A class of a header and its numbers."""

    def __init__(self, path, found):
        self.path = path
        self.found = found
        self.name = found.name
        self.line = found.line
        self.numbers = {"methods": len(found.methods), "members": len(found.members), "bases": len(found.bases)}

    @property
    def behaves(self):
        return bool(self.found.methods or self.found.accessors)

    @property
    def is_value(self):
        own = self.found.name.split("::")[-1]
        methods = [name for name in self.found.methods if name.lstrip("~") != own and not name.startswith("operator")]
        return self.found.key != "class" and not self.found.virtual and len(methods) <= VALUE_METHODS

    @property
    def is_interface(self):
        return self.found.virtual and not self.found.members

    @property
    def stands_alone(self):
        """It is the one class of its header, if anything is."""
        return self.found.outer is None and not self.found.specialization and not (self.is_value or self.is_interface)


def count(root):
    """Every class of the headers, in order."""
    counted = []
    for source in sources(root, "core", "rpc"):
        if source.is_header:
            counted += [Counted(source.path, found) for found in classes_of(source.text)]
    return counted


def table(root):
    """Lines of the counts, the largest classes first; a * where a limit is exceeded."""
    rows = [one for one in count(root) if one.behaves]
    rows.sort(key=lambda one: (-one.numbers["methods"], -one.numbers["members"], one.path, one.line))
    lines = [f"{'methods':>8} {'members':>8} {'bases':>6}  class"]
    for one in rows:
        cells = [f"{number}{'*' if number > LIMITS[what] else ' '}" for what, number in one.numbers.items()]
        lines.append(f"{cells[0]:>9}{cells[1]:>9}{cells[2]:>7} {one.name} ({one.path})")
    return lines


class Exceptions:
    """The exceptions of classes.toml, and those that were needed."""

    def __init__(self, root):
        path = pathlib.Path(root) / EXCEPTIONS
        self.allowed = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.used = set()

    def find(self, kind, name):
        found = self.allowed.get(kind, {}).get(name)
        if found is not None:
            self.used.add((kind, name))
        return found

    def faults(self):
        for kind, entries in self.allowed.items():
            if kind not in KINDS:
                yield broken(EXCEPTIONS, 1, f"no exceptions of a kind '{kind}'; there are {', '.join(sorted(KINDS))}")
                continue
            for name, entry in entries.items():
                reason = entry.get("reason", "") if kind == "class" else entry
                if len(reason.split()) < 4:
                    yield broken(EXCEPTIONS, 1, f"{kind} {name}: no reason is given")
                if (kind, name) not in self.used:
                    yield broken(EXCEPTIONS, 1, f"{kind} {name}: is no longer needed; take it out")


def check_numbers(one, exceptions):
    over = {what: number for what, number in one.numbers.items() if number > LIMITS[what]}
    allowed = exceptions.find("class", one.name) if over else None
    allowed = {what: number for what, number in (allowed or {}).items() if what != "reason"}
    for what, number in one.numbers.items():
        said = allowed.pop(what, LIMITS[what])
        if number > said:
            limit = f"the limit is {said}: it does two jobs" if said == LIMITS[what] else f"{EXCEPTIONS} allows {said}"
            yield broken(one.path, one.line, f"{one.name} has {number} {what}, {limit}")
        elif said > LIMITS[what] and number > LIMITS[what] and number < said:
            yield broken(one.path, one.line, f"{one.name} has only {number} {what} now: write that in {EXCEPTIONS}")
        elif said > LIMITS[what] >= number:
            yield broken(one.path, one.line, f"{one.name} has {number} {what}, as it may: {EXCEPTIONS} allows {said}")
    for what in allowed:
        yield broken(EXCEPTIONS, 1, f"class {one.name}: '{what}' is neither {', '.join(LIMITS)} nor its reason")


def check_headers(counted, exceptions):
    headers = {}
    for one in counted:
        if one.stands_alone:
            headers.setdefault(one.path, []).append(one)
    for path, classes in headers.items():
        if len(classes) > 1 and not exceptions.find("header", path):
            names = ", ".join(one.name for one in classes)
            yield broken(path, classes[1].line, f"a header has one class; here are {names}")


def check_friends(counted, exceptions):
    homes = {}
    for one in counted:
        homes.setdefault(one.name.split("::")[-1], set()).add(one.path)
    for one in counted:
        for friend, line in one.found.friends.items():
            of_it = friend in one.found.declared or one.path in homes.get(friend, set())
            if not of_it and not exceptions.find("friend", f"{one.name}, {friend}"):
                yield broken(one.path, line, f"{friend} is a friend of {one.name}, but not of its header")


def check_sources(root, exceptions):
    for source in sources(root, "core", "rpc"):
        if source.is_header or (pathlib.Path(root) / source.path).with_suffix(".h").is_file():
            continue
        if not exceptions.find("source", source.path):
            yield broken(source.path, 1, "no header has its name")


def check(root):
    exceptions = Exceptions(root)
    counted = count(root)
    faults = []
    for one in counted:
        if one.behaves:
            faults += check_numbers(one, exceptions)
    faults += check_headers(counted, exceptions)
    faults += check_friends(counted, exceptions)
    faults += check_sources(root, exceptions)
    return faults + list(exceptions.faults())
