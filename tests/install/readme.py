#!/usr/bin/env python3
"""Builds and runs README.md's example against an installed weft, exactly as it is printed there.

Each ```proto block begins with its file's name, '// greeter.proto'. The ```cpp blocks, in order, are one program, which
has to end by itself with 0.
"""

import argparse
import pathlib
import re
import sys
import tempfile

from run import run, want

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(proto|cpp)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PROJECT = """\
cmake_minimum_required(VERSION 3.20)
project(readme LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
find_package(weft CONFIG REQUIRED)
add_executable(readme main.cc)
weft_generate(readme {protos})
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", required=True)
    arguments = parser.parse_args()
    protos, program = {}, ""
    for language, text in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        if language == "cpp":
            program += text
            continue
        name = re.match(r"// (\S+\.proto)\n", text)
        want(name, f"a proto block of README.md does not begin with its file's name:\n{text}")
        protos[name.group(1)] = text
    want(protos and "int main" in program, "README.md has no example: it takes proto blocks and a cpp program")
    with tempfile.TemporaryDirectory(prefix="weft-readme-") as folder:
        prefix, project = pathlib.Path(folder) / "prefix", pathlib.Path(folder) / "project"
        project.mkdir()
        for name, text in protos.items():
            (project / name).write_text(text, encoding="utf-8")
        (project / "main.cc").write_text(program, encoding="utf-8")
        (project / "CMakeLists.txt").write_text(PROJECT.format(protos=" ".join(protos)), encoding="utf-8")
        run("cmake", "--install", arguments.build, "--prefix", prefix)
        run("cmake", "-G", "Ninja", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DCMAKE_CXX_COMPILER={arguments.compiler}")
        run("cmake", "--build", project / "build")
        run(project / "build" / "readme")
    return 0


if __name__ == "__main__":
    sys.exit(main())
