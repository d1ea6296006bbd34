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

NEEDS = '#include "weft/core/requirements.h"\n'

HEALTHY = {
    "core/requirements.h": HEAD + "#pragma once\n",
    "core/a.h": HEAD + "#pragma once\n#include <string>\n" + NEEDS + "struct A {\n  std::string name;\n};\n",
    "core/a.cc": '#include "weft/core/a.h"\n\n#include <event2/event.h>\n#include <sys/socket.h>\n',
    "rpc/options.proto": 'syntax = "proto3";\n',
    "rpc/base/b.h": HEAD + '#pragma once\n#include "weft/core/a.h"\nstruct B : A {};\n',
    "rpc/base/b.cc": '#include "weft/rpc/base/b.h"\n#include "weft/rpc/options.pb.h"\n#include "google/protobuf/message.h"\n',
    "rpc/server_options.h": HEAD + '#pragma once\n#include "weft/rpc/base/b.h"\nstruct O : B {};\n',
    "rpc/server/s.h": HEAD + '#pragma once\n#include "weft/rpc/server_options.h"\nstruct S : B {};\n',
    "rpc/client/c.h": HEAD + '#pragma once\n#include "weft/rpc/base/b.h"\nstruct C : B {};\n',
    "rpc/base/words.h": HEAD + "#pragma once\n" + NEEDS + "void Say();\n",
    "codegen/main.cc": '#include <google/protobuf/compiler/plugin.h>\n#include "weft/rpc/options.pb.h"\n',
    "codegen/template.cc": 'const char* k = R"(\n#include "$stem$.pb.h"\n)";\n',
    # Words in comments and strings are no faults.
    "rpc/base/words.cc": '// Never abort(), never throw.\nconst char* k = "exit(1); throw";\n/* exit(1) */\n',
}

UNFINISHED = "TO" "DO"


def class_of(methods=0, members=0, bases="", more=""):
    """A class X at line 4, with so many of each, and `more` as its last lines."""
    lines = [f"  void F{i}(int a = (1 < 2));" for i in range(methods)]
    lines += [f"  std::map<int, A<(1 > 0)>> m{i}_ WEFT_LOOP_OWNED = {{}};" for i in range(members)]
    return HEAD + "class WEFT_ANY_THREAD X" + bases + " {\n" + "".join(line + "\n" for line in lines) + more + "};\n"


# None of it counts beside 30 methods and 15 members, however it is written.
UNCOUNTED = """
 public:
  X() : a_(1), b_{2} { Run(); }
  explicit X(int a) noexcept(false);
  X(const X&) = delete;
  [[nodiscard]] int F0() const WEFT_REQUIRES(mu_) { return 1 < 2 ? 3 : 4; }
  template <typename T, int n = (1 > 0)>
  void F0(T t);
  const std::vector<int>& all() const { return m0_; }
  size_t size() const WEFT_LOOP_ONLY { return m0_.size(); }
  int64_t seen() const { return m0_.load(std::memory_order_relaxed); }
  static constexpr size_t kSize = size_t{4} << 10;
  static int made;
  using Made = void (*)(int);
  enum class State : uint8_t { kUp, kDown };
  struct Value {
    int a = 0, b = 0;
    void (*call)(int) = nullptr;
    int F40() { return 1; }
    int F41();
  };
  class Other;
  friend class Other;
  friend bool operator==(const X&, const X&) = default;
"""
DECLARATORS = "  void (*call_)(int) = nullptr;\n  int a_[2], b_ : 3;\n  void F();\n"
# Prose and contract fill their lines; nothing in the drawing is torn.
WELL_SET = """// A thing whose first paragraph goes on for so long that it does not fit into one line, and there-
// fore has two.
//   kIdle ──call──► kConnecting ──► kUp ──lost──► kConnecting     kClosed: from any state, for good
//                     └── kPausing          a legend that is about as wide as the page
//     └── end
//
// Threads  the caller's
// Owns     what it was given, until it is asked to give it back or everybody has forgotten about it
//          their own way
// Ends     at once
"""
BASES = " final : public A, B<C, D>, private E"
TWO = "class A1 {\n  int a_;\n};\nclass A2 {\n  int a_;\n};\n"
BESIDE = (
    "enum class E { kA };\nstruct V {\n  int a = 0;\n  bool valid() const;\n};\n"
    "class Listener {\n public:\n  virtual void On() = 0;\n};\ntemplate <typename T>\nclass X;\n"
    "template <typename T>\nclass X {\n  T t_;\n};\ntemplate <>\nclass X<int> {\n  int t_;\n};\n"
)
ALLOWED = "tests/structure/classes.toml"


def allow(kind, name, value):
    return {ALLOWED: f'[{kind}]\n"{name}" = {value}\n'}

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
        ({"rpc/client/n.h": HEAD + "namespace weft::internal::native {\nclass NativeLink;\n}\n"},
         "rpc/client/n.h:4: names a protocol: namespace weft::internal::native"),
        ({"rpc/server/n.cc": "native::NativeLink* link;\n"}, "rpc/server/n.cc:1: names a protocol: native::"),
        ({"core/r1.h": HEAD + '#include "weft/core/r2.h"\n', "core/r2.h": HEAD + '#include "weft/core/r1.h"\n'},
         "core/r1.h:1: headers include each other"),
        ({"rpc/base/alone.h": HEAD + "#include <string>\n"}, "rpc/base/alone.h:1: includes nothing of weft's"),
    ],
    "classes": [
        ({"core/x.h": class_of(methods=30, members=14, bases=BASES, more=UNCOUNTED)},
         "core/x.h:4: X has 31 methods"),
        ({"core/x.h": class_of(methods=29, members=15, bases=BASES, more=UNCOUNTED)}, None),
        ({"core/x.h": class_of(members=16, more="  void F();\n")}, "core/x.h:4: X has 16 members, the limit is 15"),
        ({"core/x.h": class_of(members=16)}, None),
        ({"core/x.h": class_of(members=14, more=DECLARATORS)},
         "core/x.h:4: X has 17 members"),
        ({"core/x.h": class_of(methods=1, bases=" : A, B, C, D")}, "core/x.h:4: X has 4 bases, the limit is 3"),
        ({"core/x.h": class_of(more="  " + class_of(methods=31)[len(HEAD):])}, "core/x.h:5: X::X has 31 methods"),
        ({"core/x.h": HEAD + TWO}, "core/x.h:7: a header has one class; here are A1, A2"),
        ({"core/x.h": HEAD + BESIDE}, None),
        ({"core/x.h": HEAD + "struct V {\n" + "".join(f"  void F{i}();\n" for i in range(5)) + "};\n" + TWO[:24]},
         "core/x.h:11: a header has one class; here are V, A1"),
        ({"core/y.h": HEAD + "class Y {\n  int a_;\n};\n", "core/x.h": class_of(more="  friend class Y;\n")},
         "core/x.h:5: Y is a friend of X, but not of its header"),
        ({"core/x_more.cc": "\n"}, "core/x_more.cc:1: no header has its name"),
        # The exceptions.
        ({"core/x.h": class_of(methods=31),
          **allow("class", "X", '{methods = 31, reason = "It has a part that can stand apart."}')}, None),
        ({"core/x.h": class_of(methods=32),
          **allow("class", "X", '{methods = 31, reason = "It has a part that can stand apart."}')},
         "core/x.h:4: X has 32 methods, tests/structure/classes.toml allows 31"),
        ({"core/x.h": class_of(methods=31),
          **allow("class", "X", '{methods = 32, reason = "It has a part that can stand apart."}')},
         "core/x.h:4: X has only 31 methods now"),
        ({"core/x.h": class_of(methods=31, members=15),
          **allow("class", "X", '{methods = 31, members = 16, reason = "It has a part that can stand apart."}')},
         "core/x.h:4: X has 15 members, as it may"),
        ({"core/x.h": class_of(methods=31), **allow("class", "X", "{methods = 31}")}, "class X: no reason is given"),
        ({"core/x.h": class_of(methods=30),
          **allow("class", "X", '{methods = 31, reason = "It has a part that can stand apart."}')},
         "class X: is no longer needed"),
        ({"core/x.h": HEAD + TWO, **allow("header", "core/x.h", '"They are one vocabulary, annotated together."')}, None),
        (allow("header", "core/a.h", '"They are one vocabulary, annotated together."'), "header core/a.h: is no longer needed"),
        (allow("source", "core/a.cc", '"It goes with another header later."'), "source core/a.cc: is no longer needed"),
        (allow("friend", "A, B", '"The links run through it."'), "friend A, B: is no longer needed"),
        (allow("classes", "A", '"The links run through it."'), "no exceptions of a kind 'classes'"),
    ],
    "contracts": [
        ({"core/x.h": "// A thing.\n#pragma once\nclass X {};\n"}, "core/x.h:1: its first comment has no"),
        ({"rpc/base/x.h": "#pragma once\n// Threads  any\nclass X {};\n"}, "rpc/base/x.h:1: begins without a comment"),
        ({"core/x.h": "// A thing.\n//\n// Threads  any, once\n// made Owns     nothing\n"},
         "core/x.h:4: a line of the contract runs into"),
        # Comments that a formatter tears.
        ({"core/x.h": WELL_SET}, None),
        ({"core/x.cc": "int a;\n  // " + "long " * 20 + "\n"}, "core/x.cc:2: a comment goes beyond column 100"),
        ({"tests/core/x.h": "int a;  // " + "long " * 20 + "\n"}, "tests/core/x.h:1: a comment goes beyond column 100"),
        ({"core/x.cc": 'const char* a = R"(// ' + "long " * 20 + ')";\n'}, None),
        ({"core/x.h": HEAD.replace("A thing.", "A thing that is\n// torn.")}, "core/x.h:1: a line ends early"),
        ({"core/x.h": WELL_SET.replace("the caller's", "the caller's,\n//          or so")},
         "core/x.h:7: a line of the contract ends early"),
        ({"core/x.h": WELL_SET.replace("//          their", "// their")}, "core/x.h:9: a line of the contract goes on below"),
        ({"bench/x.h": WELL_SET.replace("//          their", "// their")}, "bench/x.h:9: a line of the contract goes on below"),
        ({"core/x.h": WELL_SET.replace(" kClosed: from any state, for good", "      kClosed: from any state, for\n//   good")}, "core/x.h:4: a drawing is torn"),
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
    "chance": [
        ({"rpc/base/x.cc": "int F() {\n  return std::random_device()();\n}\n"}, "rpc/base/x.cc:2: asks the system"),
        ({"rpc/base/x.cc": "auto t = absl::Now();\n"}, "rpc/base/x.cc:1: asks the system"),
        ({"core/x.h": HEAD + "inline auto F() { return std::chrono::steady_clock::now(); }\n"},
         "core/x.h:4: asks the system"),
        ({"core/x.cc": "uint64_t seed = KernelRandomSeed();\n"}, "core/x.cc:1: asks the system"),
        ({"core/clock.cc": "int now;\n"}, "core/clock.cc:1: does not ask the system any more"),
    ],
    "sizes": [({"core/x.cc": "\n" * 701}, "core/x.cc:701: has 701 lines")],
    "markers": [
        ({"core/x.cc": f"// {UNFINISHED}: later\n"}, "core/x.cc:1: a note of work left undone"),
        ({"docs/x.md": f"\n{UNFINISHED}\n"}, "docs/x.md:2: a note of work left undone"),
    ],
    "prose": [
        ({"core/x.h": HEAD.replace("A thing.", "A thing. What it\n// does.")}, "core/x.h:1: a sentence begins with \"What it"),
        ({"core/x.cc": "int a;\n// It has a line. One\n// that is full waits.\n"}, "core/x.cc:2: a sentence begins with"),
        ({"core/x.cc": "// It runs;\n// it ends.\n//\n// Whether it has ended.\n"}, "core/x.cc:4: a sentence begins with"),
        ({"core/x.cc": "int a;  // Whose it is.\n"}, "core/x.cc:1: a sentence begins with"),
        ({"tests/x.py": '"""Reads it.\n\nCounted are bytes."""\n'}, "tests/x.py:3: a sentence begins with \"Counted are"),
        ({"tests/x.py": "a = 1  # Whoever comes.\n"}, "tests/x.py:1: a sentence begins with"),
        ({"tests/CMakeLists.txt": "# (It may.) Those that may not.\n"}, "tests/CMakeLists.txt:1: a sentence begins with"),
        # Questions, the middle of a sentence, other words, and strings.
        ({"core/x.cc": "// What now? It says\n// What, Who.Is and Whole are. Needed: one.\n"}, None),
        ({"core/x.cc": 'const char* k = "// What it does.";\n', "tests/x.py": 'k = """What it does."""\n'}, None),
    ],
    "packages": [
        ({"dev": "A_PACKAGES=(\n  libabsl-dev libnothing-dev)\n", "core/s.cc": '#include "absl/strings/str_cat.h"\n'},
         "dev:1: nothing says what libnothing-dev is for"),
        ({"dev": "\nA_PACKAGES=(libevent-dev libzstd-dev)\n"}, "dev:2: nothing uses libzstd-dev"),
        ({"dev": "A_PACKAGES=(libevent-dev)\n"}, None),
    ],
    "surface": [
        ({"docs/public_headers.txt": "core/a.h  a\ncore/b.h\n"}, "txt:2: neither a header with its purpose nor a comment"),
        ({"docs/public_headers.txt": "core/a.h  a\ncore/none.h  none\n"}, "txt:2: no such file: core/none.h"),
        ({"docs/public_headers.txt": "# All\n\ncore/a.h  a\ncore/a.h  again\n"}, "txt:4: stands here twice"),
        ({"docs/public_headers.txt": "".join(f"core/h{i}.h  a\n" for i in range(41)),
          **{f"core/h{i}.h": HEAD for i in range(41)}}, "txt:41: more than 40"),
        ({"docs/public_headers.txt": "core/a.h  a\n", "docs/x.md": '\n#include "weft/rpc/base/b.h"\n'},
         "docs/x.md:2: not a public header"),
        ({"docs/public_headers.txt": "core/a.h  a\n", "docs/examples/x/main.cc": "#include <weft/rpc/base/b.h>\n"},
         "docs/examples/x/main.cc:1: not a public header"),
        ({"docs/public_headers.txt": "core/a.h  a\n",
          "codegen/file_template.cc": 'const char* k = R"(\n#include "weft/rpc/base/b.h"\n)";\n'},
         "codegen/file_template.cc:2: not a public header"),
        ({"docs/public_headers.txt": "rpc/base/b.h  b\n", "docs/x.md": '#include "weft/rpc/base/b.h"\n',
          "codegen/file_template.cc": '#include "weft/codegen/none.h"\n'}, None),
        ({"docs/public_headers.txt": "core/a.h  a\n  core/none.h\n"}, "txt:2: no such file: core/none.h"),
        ({"docs/public_headers.txt": "core/a.h  a\n  core/a.h\n"}, "txt:2: stands here twice"),
        ({"docs/public_headers.txt": "  core/a.h\n"}, "txt:1: comes with no header"),
        ({"docs/public_headers.txt": "core/a.h  a\n", "core/own.h": HEAD + "namespace weft {\nint x;\n}\n"},
         "core/own.h:5: in namespace weft, and not public"),
        ({"docs/public_headers.txt": "core/a.h  a\n  core/own.h\n", "core/own.h": HEAD + "namespace weft {\nint x;\n}\n",
          "core/ahead.h": HEAD + "namespace weft {\nclass X;\n}\nnamespace weft::internal {\nint y;\n}\n"}, None),
    ],
    "headers": [
        ({"core/x.h": HEAD + "std::string Name();\n"}, "core/x.h:1: does not compile alone"),
        ({"rpc/base/x.h": HEAD + "struct Twice {};\n"}, "rpc/base/x.h:1: does not compile alone"),
        ({"core/x.h": HEAD + "struct Twice {};\n", "core/x.cc": '#include "weft/core/x.h"\n'},
         "core/x.h:1: is not guarded"),
        ({"core/x.h": HEAD + "std::string Name();\n", "core/x.cc": '#include <string>\n#include "weft/core/x.h"\n'},
         "core/x.h:1: does not compile alone"),
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
