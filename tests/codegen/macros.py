"""Compares the names in generated code with the macros of the headers that the code includes.

    macros.py --protoc P --plugin P --work FOLDER [--write FILE] -- COMPILER FLAG... [-- COMPILER FLAG...]...

Each compiler says all macros that are defined behind a generated mock header. A .proto with a method and a service of
every such name is generated, and of those that only lack underscores at their end, and no identifier of the outcome may be a macro. --write FILE writes the list of macros
that codegen/macro_names.h describes, for a new version of a compiler or a library.
"""
import argparse
import pathlib
import re
import subprocess
import sys

SMALL = """syntax = "proto3";
package small;
message M {}
service S {
  rpc Unary(M) returns (M);
  rpc Up(stream M) returns (M);
  rpc Down(M) returns (stream M);
  rpc Both(stream M) returns (stream M);
  rpc Old(M) returns (M) { option deprecated = true; }
}
"""

# Older C libraries define major and minor in <sys/types.h>.
SOURCE = """#include "small.weft_mock.h"
#include <sys/sysmacros.h>
"""

# As CMake compiles this tree, and as a compiler does by itself; there `linux` and `unix` are macros.
MODES = (("-std=c++20",), ("-std=gnu++20", "-DNDEBUG"))

# Macros that generated code uses on purpose.
MEANT = {"MOCK_METHOD"}

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NO_CODE = re.compile(r'//[^\n]*|"(?:[^"\\\n]|\\.)*"|^[ \t]*#[^\n]*', re.MULTILINE)


def looks_like_macro(name):
    """As codegen/cpp_names.cc says it."""
    return re.match(r"_|[A-Z][A-Z0-9]*_", name) is not None


def listed(name):
    """True if the plugin has to know it: it cannot tell it by its looks, or may make it of another name."""
    return not looks_like_macro(name) or (name.endswith("_") and not name.endswith(("_H_", "_H__")))


def generate(args, stem, text, *more):
    (args.work / f"{stem}.proto").write_text(text)
    subprocess.run(
        [args.protoc, f"--plugin=protoc-gen-weft={args.plugin}", f"-I{args.work}", f"--weft_out={args.work}", *more,
         f"{stem}.proto"], check=True)


def macros_of(command, mode, work):
    """Every name that -E -dM says behind the small mock header."""
    out = subprocess.run([*command, *mode, f"-I{work}", "-E", "-dM", "-x", "c++", "-"], input=SOURCE, text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    return set(re.findall(r"^#define ([A-Za-z_][A-Za-z0-9_]*)", out, re.MULTILINE))


def every_name(macros):
    """A .proto with a method of each name, and a service."""
    lines = ['syntax = "proto3";', "package every;", "message Empty {}"]
    for i, back in enumerate(("Empty", "stream Empty")):
        lines += [f"service All{i} {{", *(f"  rpc {name}(Empty) returns ({back});" for name in macros), "}"]
    lines += [f"service {name} {{}}" for name in macros]
    return "\n".join(lines) + "\n"


def identifiers(path):
    return set(IDENTIFIER.findall(NO_CODE.sub("", path.read_text())))


def write(path, macros):
    lines = [""]
    for name in sorted(filter(listed, macros)):
        if len(lines[-1]) + 1 + len(name) > 100:
            lines.append("")
        lines[-1] = f"{lines[-1]} {name}".lstrip()
    path.write_text('#include "weft/codegen/macro_names.h"\n\nnamespace weft::codegen {\n\n'
                    '// Written by tests/codegen/macros.py.\nconstexpr absl::string_view kMacroNames = R"(\n'
                    + "\n".join(lines) + '\n)";\n\n}  // namespace weft::codegen\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--protoc", "--plugin"):
        parser.add_argument(flag, required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--write", type=pathlib.Path)
    own, *compilers = " ".join(sys.argv[1:]).split(" -- ")
    args = parser.parse_args(own.split())
    args.work.mkdir(parents=True, exist_ok=True)

    generate(args, "small", SMALL, f"--cpp_out={args.work}")
    macros = set().union(*(macros_of(c.split(), mode, args.work) for c in compilers for mode in MODES))
    if args.write:
        write(args.write, macros)
        print(f"{args.write}: written; the plugin has it when it is built anew")
        return 0

    if len(macros) < 1000 or not {"NULL", "errno", "stdin"} <= macros:
        print(f"only {len(macros)} macros were seen: the headers are not those of generated code")
        return 1
    # With a name that an underscore makes a macro of.
    names = {name[:end] for name in macros for end in range(len(name.rstrip("_")), len(name) + 1) if end > 0}
    generate(args, "every", every_name(sorted(names)))
    wrong = {}
    for name in ("every.weft.h", "every.weft.cc", "every.weft_mock.h"):
        for identifier in identifiers(args.work / name) & macros - MEANT:
            wrong.setdefault(identifier, name)
    for identifier, name in sorted(wrong.items()):
        print(f"{name}: {identifier} is a macro of the headers that it includes")
    if wrong:
        print("macros.py --write codegen/macro_names.cc makes the list anew")
    print(f"{len(macros)} macros, {len(wrong)} of them in generated code")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
