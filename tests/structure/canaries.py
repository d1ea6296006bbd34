#!/usr/bin/env python3
"""Plants faults in a small healthy tree and demands that the check named catches each, at its line.

A check that finds nothing in a tree without faults proves nothing; these prove that it would.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

HEAD = "// A thing.\n//\n// Threads  any\n"

HEALTHY = {
    "core/a.h": HEAD + "#pragma once\n#include <string>\nstruct A {\n  std::string name;\n};\n",
    "core/a.cc": '#include "weft/core/a.h"\n\n#include <event2/event.h>\n#include <sys/socket.h>\n',
    "rpc/options.proto": 'syntax = "proto3";\n',
    "rpc/base/b.h": HEAD + '#pragma once\n#include "weft/core/a.h"\nstruct B : A {};\n',
    "rpc/base/b.cc": '#include "weft/rpc/base/b.h"\n#include "weft/rpc/options.pb.h"\n#include "google/protobuf/message.h"\n',
    "rpc/server_options.h": HEAD + '#pragma once\n#include "weft/rpc/base/b.h"\nstruct O : B {};\n',
    "rpc/server/s.h": HEAD + '#pragma once\n#include "weft/rpc/server_options.h"\nstruct S : B {};\n',
    "rpc/client/c.h": HEAD + '#pragma once\n#include "weft/rpc/base/b.h"\nstruct C : B {};\n',
    "codegen/main.cc": '#include <google/protobuf/compiler/plugin.h>\n#include "weft/rpc/options.pb.h"\n',
    "codegen/template.cc": 'const char* k = R"(\n#include "$stem$.pb.h"\n)";\n',
    # Words in comments and strings are no faults.
    "rpc/base/words.cc": '// Never abort(), never throw.\nconst char* k = "exit(1); throw";\n/* exit(1) */\n',
}

UNFINISHED = "TO" "DO"

# Each check: what is planted, and what it has to say about it.
PLANTED = {
    "include_graph": [
        ({"core/up.cc": '\n#include "weft/rpc/base/b.h"\n'}, "core/up.cc:2: core must not include rpc/base"),
        ({"rpc/server/x.h": HEAD + '#include "weft/rpc/client/c.h"\n'},
         "rpc/server/x.h:4: rpc/server must not include rpc/client"),
        ({"rpc/client/x.cc": '#include "weft/rpc/server/s.h"\n'},
         "rpc/client/x.cc:1: rpc/client must not include rpc/server"),
        ({"rpc/x_options.h": HEAD + '#include "weft/rpc/server/s.h"\n'},
         "rpc/x_options.h:4: rpc/*_options.h must not include rpc/server"),
        ({"rpc/base/x.cc": '#include "weft/rpc/server/s.h"\n'}, "rpc/base/x.cc:1: rpc/base must not include rpc/server"),
        ({"codegen/x.cc": '#include "weft/core/a.h"\n'}, "codegen/x.cc:1: codegen must not include core"),
        ({"core/e.h": HEAD + "#include <event2/event.h>\n"}, "core/e.h:4: <event2/...> belongs in core/*.cc only"),
        ({"rpc/base/e.cc": "#include <event2/event.h>\n"}, "rpc/base/e.cc:1: <event2/...> belongs in core/*.cc only"),
        ({"core/p.cc": "#include <google/protobuf/message.h>\n"}, "core/p.cc:1: <google/protobuf/...> belongs in"),
        ({"core/p.cc": '#include "google/protobuf/message.h"\n'}, "core/p.cc:1: <google/protobuf/...> belongs in"),
        ({"core/z.cc": "#include <lz4.h>\n"}, "core/z.cc:1: neither weft/..., nor the system's"),
        ({"core/z.cc": "#include <zlib.h>\n"}, "core/z.cc:1: <zlib.h> belongs in rpc/base/compression.cc only"),
        ({"rpc/base/z.h": HEAD + "void F(z_stream*);\n"}, "rpc/base/z.h:4: a third party's type in a header: z_stream"),
        ({"core/t.cc": '#include "weft/tests/support/clock.h"\n'}, "core/t.cc:1: no such file"),
        ({"rpc/base/t.cc": '#include "tests/support/clock.h"\n'}, "rpc/base/t.cc:1: neither weft/..."),
        ({"rpc/util/u.cc": "\n"}, "rpc/util/u.cc:1: room rpc/util is not in the include graph"),
        ({"rpc/base/f.h": HEAD + "struct event_base;\n"}, "rpc/base/f.h:4: a third party's type in a header: event_base"),
        ({"core/r1.h": HEAD + '#include "weft/core/r2.h"\n', "core/r2.h": HEAD + '#include "weft/core/r1.h"\n'},
         "core/r1.h:1: headers include each other"),
    ],
    "contracts": [
        ({"core/x.h": "// A thing.\n#pragma once\nclass X {};\n"}, "core/x.h:1: its first comment has no"),
        ({"rpc/base/x.h": "#pragma once\n// Threads  any\nclass X {};\n"}, "rpc/base/x.h:1: begins without a comment"),
        ({"core/x.h": "// A thing.\n//\n// Threads  any, once\n// made Owns     nothing\n"},
         "core/x.h:4: a line of the contract runs into"),
    ],
    "gates": [
        ({"core/x.cc": "void F() {\n  std::abort();\n}\n"}, "core/x.cc:2: ends the process"),
        ({"core/x.cc": "void F() { _exit(1); }\n"}, "core/x.cc:1: ends the process"),
        ({"rpc/base/x.h": HEAD + "inline void F() { exit(1); }\n"}, "rpc/base/x.h:4: ends the process"),
        ({"rpc/base/x.cc": "void F() { throw 1; }\n"}, "rpc/base/x.cc:1: throws"),
        ({"rpc/base/x.cc": "void F() { __builtin_trap(); }\n"}, "rpc/base/x.cc:1: ends the process"),
    ],
    "sleeps": [
        ({"tests/core/x_test.cc": "void F() {\n  std::this_thread::sleep_for(s);\n}\n"},
         "tests/core/x_test.cc:2: a test that sleeps"),
        ({"tests/support/x.h": HEAD + "inline void F() { absl::SleepFor(absl::Seconds(1)); }\n"},
         "tests/support/x.h:4: a test that sleeps"),
        ({"tests/rpc/x_test.cc": "void F() { ::usleep(5); }\n"}, "tests/rpc/x_test.cc:1: a test that sleeps"),
        ({"tests/support/watched.cc": "bool F() { return true; }\n"}, "tests/support/watched.cc:1: does not sleep any more"),
    ],
    "sizes": [({"core/x.cc": "\n" * 701}, "core/x.cc:701: has 701 lines")],
    "markers": [
        ({"core/x.cc": f"// {UNFINISHED}: later\n"}, "core/x.cc:1: a note of work left undone"),
        ({"docs/x.md": f"\n{UNFINISHED}\n"}, "docs/x.md:2: a note of work left undone"),
    ],
    "headers": [
        ({"core/x.h": HEAD + "std::string Name();\n"}, "core/x.h:1: does not compile alone"),
        ({"rpc/base/x.h": HEAD + "struct Twice {};\n"}, "rpc/base/x.h:1: does not compile alone"),
    ],
}


def plant(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def run(check, root, compiler):
    if check == "headers":
        include = root / "include"
        include.mkdir(exist_ok=True)
        link = include / "weft"
        if not link.exists():
            link.symlink_to(root)
        command = [sys.executable, HERE / "check_headers.py", "--root", root, "--work", root / "work", "--",
                   compiler, "-std=c++20", f"-I{include}"]
    else:
        command = [sys.executable, HERE / "check_tree.py", "--root", root, check]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=PLANTED)
    parser.add_argument("--compiler", default="g++")
    arguments = parser.parse_args()
    missed = 0
    for files, expected in [({}, None), *PLANTED[arguments.check]]:
        with tempfile.TemporaryDirectory(prefix="weft-canary-") as folder:
            root = pathlib.Path(folder)
            plant(root, HEALTHY)
            plant(root, files)
            status, output = run(arguments.check, root, arguments.compiler)
        caught = status != 0 and expected in output if expected else status == 0
        print(f"{'ok    ' if caught else 'MISSED'} {', '.join(files) or 'the healthy tree'}: {expected or 'no faults'}")
        if not caught:
            missed += 1
            print(output)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
