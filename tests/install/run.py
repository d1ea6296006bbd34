#!/usr/bin/env python3
"""weft as people outside of it build it, one step a test.

    prefix        installs a build into a fresh prefix, and looks at what came there
    find_package  project/ by CMake against that prefix, with the shared library and with the static one
    make          the same by make, protoc and pkg-config: shared, static as a whole, with weft's code in the program
    headers       every installed header and generated file: warnings, macros, names, refusals
    only          the preset 'install' builds no tests
    subproject    project/ with weft's sources in it, by add_subdirectory and by FetchContent

A project is copied out of the tree first. With --clang each is built by that compiler too. 'subproject' compiles of the
library one source of each room, and links what the build has made of the others; with --whole it compiles all of them.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.dont_write_bytecode = True
sys.path.append(str(ROOT / "tests" / "structure"))

import api  # noqa: E402
import surface  # noqa: E402
SAYS = "hello outside"
# Parameters of alias templates: clang lists them as if they stood in the namespace.
TEMPLATE_PARAMETERS = {"Reply"}
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wnon-virtual-dtor", "-Werror"]


def run(*command, cwd=None, env=None, fails=False):
    print("+", " ".join(str(word) for word in command), flush=True)
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **(env or {})}, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="", flush=True)
    if (done.returncode != 0) != fails:
        sys.exit(f"'{command[0]}' ended with {done.returncode}")
    return done.stdout


def want(condition, message):
    if not condition:
        sys.exit(message)


def says(program):
    want(SAYS in run(program), f"{program} did not say '{SAYS}'")


class Step:
    def __init__(self, arguments):
        self.build = arguments.build
        self.prefix = arguments.work / "prefix"
        self.folder = arguments.work / arguments.step
        self.version = arguments.version
        self.line = ".".join(arguments.version.split(".")[:2 if arguments.version.startswith("0.") else 1])
        self.compiler = arguments.compiler
        self.compilers = [c for c in (arguments.compiler, arguments.clang) if c]
        self.clang = arguments.clang
        self.whole = arguments.whole
        self.pkg = {"PKG_CONFIG_PATH": str(self.prefix / "lib" / "pkgconfig")}
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    # ---- prefix

    def prefix_step(self):
        run("cmake", "--install", self.build, "--prefix", self.prefix)
        self.check_files()
        self.check_versions()
        self.check_flags()

    def check_files(self):
        prefix = self.prefix
        library = prefix / "lib" / f"libweft.so.{self.version}"
        want(library.is_file(), f"{library} is not installed")
        want((prefix / "lib" / "libweft.so").is_symlink(), "libweft.so is no link")
        for name in ("lib/libweft.a", "bin/protoc-gen-weft", "lib/pkgconfig/weft.pc", "lib/cmake/weft/weftConfig.cmake",
                     "include/weft/rpc/server.h", "include/weft/rpc/options.proto", "include/weft/rpc/options.pb.h"):
            want((prefix / name).is_file(), f"{name} is not installed")
        include = prefix / "include"
        there = {p.relative_to(include).as_posix() for p in include.rglob("*") if p.is_file()}
        wanted = {f"weft/{name}" for name in surface.installed(ROOT)}
        want(there == wanted, f"stray among the headers: {sorted(there - wanted)}; missing: {sorted(wanted - there)}")
        want(len(there) < sum(1 for room in ("core", "rpc") for _ in (ROOT / room).rglob("*.h")), "all is installed")

    def check_versions(self):
        """The soname, CMake's rule, pkg-config's version and the plugin's are of one line, docs/versions.md's."""
        soname = f"libweft.so.{self.line}"
        want(f"[{soname}]" in run("readelf", "-d", self.prefix / "lib" / "libweft.so"), f"the soname is not {soname}")
        want(run("pkg-config", "--modversion", "weft", env=self.pkg).strip() == self.version, "pkg-config: another version")
        plugin = self.prefix / "bin" / "protoc-gen-weft"
        want(run(plugin, "--version") == f"protoc-gen-weft {self.version}\n", "the plugin has another version")
        want("--weft_opt=" in run(plugin, "--help"), "the plugin's help says nothing of parameters")
        rule = self.prefix / "lib" / "cmake" / "weft" / "weftConfigVersion.cmake"
        major, minor = (int(part) for part in self.version.split(".")[:2])
        wanted = {self.version: True, f"{major}.{minor}": True, f"{major + 1}.0": False, f"{major}.{minor + 1}": False}
        if major == 0:
            wanted["0.0"] = minor == 0
        for version, compatible in wanted.items():
            script = self.folder / "rule.cmake"
            numbers = (version.split(".") + ["0", "0"])[:3]
            script.write_text(
                "set(CMAKE_SIZEOF_VOID_P 8)\n" f"set(PACKAGE_FIND_VERSION {version})\n" +
                "".join(f"set(PACKAGE_FIND_VERSION_{part} {number})\n"
                        for part, number in zip(("MAJOR", "MINOR", "PATCH"), numbers)) +
                f'include("{rule}")\nmessage("compatible: ${{PACKAGE_VERSION_COMPATIBLE}}")\n', encoding="utf-8")
            want(("compatible: TRUE" in run("cmake", "-P", script)) == compatible,
                 f"find_package(weft {version}) finds {self.version}: {not compatible}")

    def check_flags(self):
        """Flags of pkg-config for users' compilations are weft's, but for one macro that Abseil's modules give."""
        for module in ("weft", "weft_static"):
            flags = run("pkg-config", "--cflags", module, env=self.pkg).split()
            extra = [f for f in flags if not f.startswith("-I") and f not in ("-pthread", "-DNOMINMAX")]
            want(not extra, f"{module}: flags that are not weft's: {extra}")
        linked = run("pkg-config", "--libs", "weft", env=self.pkg).split()
        own = [f for f in linked if f in ("-levent_core", "-lcares", "-lz", "-lzstd")]
        want(not own, f"what only weft itself uses is linked to shared programs: {own}")

    # ---- find_package

    def find_package_step(self):
        for compiler in self.compilers:
            project, build = self.copy_project(compiler)
            generator = "Ninja" if compiler == self.compiler else "Unix Makefiles"
            run("cmake", "-G", generator, "-S", project, "-B", build, "-DWAY=find_package",
                f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_CXX_COMPILER={compiler}")
            run("cmake", "--build", build, "-j", "2")
            soname = f"[libweft.so.{self.line}]"
            want(soname in run("readelf", "-d", build / "app" / "greeter"), "greeter does not use the shared library")
            want("libweft" not in run("readelf", "-d", build / "app" / "greeter_static"),
                 "greeter_static uses the shared library")
            run("ctest", "--test-dir", build, "--no-tests=error", "--output-on-failure")
        project, build = self.folder / self.name_of(self.compiler), self.folder / f"{self.name_of(self.compiler)}-build"
        self.check_generated(project, build)
        self.check_faults(build)

    def check_generated(self, project, build):
        names = lambda: {p.name for p in (build / "protos").rglob("weft_gen/greeter_parts/*")}
        want("greeter.weft.h" in names() and "names.pb.h" in names(), f"generated: {names()}")
        more = names() & {"greeter.weft_mock.h", "names.weft.h", "names.weft.cc"}
        want(not more, f"without mocks, and without a service, there are {more}")
        with open(project / "protos" / "names.proto", "a", encoding="utf-8") as proto:
            proto.write("service Names { rpc Say(Name) returns (Name); }\n")
        run("cmake", "--build", build, "--target", "protos/weft_gen/greeter_parts/names.weft.h")
        want("names.weft.cc" in names(), "a service that was added is not seen")

    def check_faults(self, build):
        for fault, text in {"interface": "'headers_only' compiles no sources", "no_target": "'forgotten' is no target",
                            "outside_of_all": "elsewhere.proto is below none of"}.items():
            said = " ".join(run("cmake", build, f"-DFAULT={fault}", fails=True).split())
            want(text in said, f"the mistake '{fault}' is not named")

    # ---- make

    def make_step(self):
        for compiler in self.compilers:
            project, _ = self.copy_project(compiler)
            for link in ("shared", "static", "weft_static"):
                run("make", "-j2", f"CXX={compiler}", f"LINK={link}", cwd=project, env=self.pkg)
                says(project / "made" / f"greeter_{link}")
            uses = [link for link in ("shared", "static", "weft_static")
                    if "libweft" in run("readelf", "-d", project / "made" / f"greeter_{link}")]
            want(uses == ["shared"], f"of these libweft.so is used by {uses}")
            used = (project / "made" / "main.d").read_text(encoding="utf-8")
            want(f"{ROOT}/rpc/" not in used and f"{self.build}/include/" not in used,
                 f"a header of the source tree was used:\n{used}")

    # ---- headers

    def headers_step(self):
        include = self.prefix / "include"
        headers = sorted(p.relative_to(include).as_posix() for p in (include / "weft").rglob("*.h"))
        want(len(headers) > 20, f"headers: {headers}")
        made = self.folder / "made"
        made.mkdir()
        run("protoc", f"--plugin=protoc-gen-weft={self.prefix}/bin/protoc-gen-weft", f"--cpp_out={made}",
            f"--weft_out={made}", f"-I{include}", f"-I{ROOT}/tests/golden", *sorted((ROOT / "tests/golden").glob("*.proto")))
        mocks = sorted(p.name for p in made.glob("*.weft_mock.h"))
        sources = sorted(p.name for p in made.glob("*.weft.cc"))
        want(len(mocks) > 3 and len(sources) == len(mocks), f"generated: {sources}, {mocks}")
        unit = self.folder / "everything.cc"
        unit.write_text("".join(f'#include "{name}"\n' for name in [*headers, *sources, *mocks]), encoding="utf-8")
        paths = [f"-I{include}", f"-I{made}"]
        for compiler in self.compilers:
            run(compiler, "-std=c++20", *STRICT, "-fsyntax-only", *paths, unit)
        self.check_macros([self.compiler, "-std=c++20", *paths], unit, [include / "weft", made])
        self.check_names(paths)
        self.check_refusals(paths)

    def check_names(self, paths):
        """A program that includes every public header sees the names of docs/api.md in namespace weft, and no others."""
        if self.clang is None:
            return
        unit = self.folder / "public.cc"
        unit.write_text("".join(f'#include "weft/{header}"\n' for _, header, _ in surface.listed(ROOT)), encoding="utf-8")
        said = subprocess.run([self.clang, "-std=c++20", "-fsyntax-only", "-Xclang", "-ast-list", *paths, str(unit)],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
        seen = set(re.findall(r"^weft::(\w+)", said, re.MULTILINE)) - {"internal", *TEMPLATE_PARAMETERS}
        public = api.names(ROOT)
        want(len(public) > 100, f"public names: {sorted(public)}")
        want(seen == public, f"not public: {sorted(seen - public)}; not seen: {sorted(public - seen)}")

    def check_macros(self, compile_, unit, folders):
        """Every macro that these files define, even for a moment, begins with WEFT_; protoc's own headers are not ours."""
        text = subprocess.run([*map(str, compile_), "-E", "-dD", str(unit)], stdout=subprocess.PIPE, text=True,
                              check=True).stdout
        ours, wrong, count = False, [], 0
        for line in text.splitlines():
            marker = re.match(r'# \d+ "([^"]*)"', line)
            if marker:
                path = marker.group(1)
                ours = any(path.startswith(f"{folder}/") for folder in folders) and not path.endswith((".pb.h", ".pb.cc"))
                continue
            macro = re.match(r"#(?:define|undef) (\w+)", line) if ours else None
            if macro:
                count += 1
                if not macro.group(1).startswith("WEFT_"):
                    wrong.append(f"{path}: {macro.group(1)}")
        want(count > 100, f"only {count} macros were found")
        want(not wrong, "macros without WEFT_ in headers:\n" + "\n".join(wrong))

    def check_refusals(self, paths):
        for compiler in self.compilers:
            for flags, text in ((["-std=c++17"], "weft needs C++20"),
                                (["-std=c++20", "-fno-exceptions"], "weft needs exceptions")):
                for header in ("weft/rpc/server.h", "weft/rpc/channel.h", "greeter.weft.h"):
                    unit = self.folder / "refused.cc"
                    unit.write_text(f'#include "{header}"\n', encoding="utf-8")
                    said = run(compiler, *flags, "-E", "-o", "/dev/null", *paths, unit, fails=True)
                    first = next(line for line in said.splitlines() if "error" in line)
                    want(text in first, f"{header} with {flags}: the first error is not '{text}'")

    # ---- only

    def only_step(self):
        run("cmake", "--preset", "install", "-B", self.folder, f"-DCMAKE_CXX_COMPILER={self.compiler}",
            *(f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("GTest", "benchmark", "Python3")), cwd=ROOT)
        known = run("ninja", "-C", self.folder, "-t", "targets", "all")
        want("libweft.a:" in known and "libweft.so." in known and "protoc-gen-weft:" in known, "the library is not built")
        tests = [line for line in known.splitlines() if re.match(r"(tests|bench|docs)/", line)]
        want(not tests, f"what is not installed is built: {tests[:5]}")

    # ---- subproject

    def subproject_step(self):
        project, build = self.copy_project(self.compiler)
        commands = {}
        for way in ("add_subdirectory", "FetchContent"):
            source = f"-DFETCHCONTENT_SOURCE_DIR_WEFT={ROOT}" if way == "FetchContent" else f"-DWEFT={ROOT}"
            run("cmake", "-G", "Ninja", "-S", project, "-B", build, f"-DWAY={way}", source,
                f"-DCMAKE_CXX_COMPILER={self.compiler}")
            commands[way] = run("ninja", "-C", build, "-t", "commands", "all")
        want(commands["add_subdirectory"] == commands["FetchContent"], "the two ways do not build the same")
        # Without a folder, too, the place is the user's to choose.
        run("cmake", build, "-UFETCHCONTENT_SOURCE_DIR_WEFT", f"-DWEFT={ROOT}")
        want(run("ninja", "-C", build, "-t", "commands", "all") == commands["FetchContent"], "SOURCE_DIR builds otherwise")

        loud = [line for line in commands["FetchContent"].splitlines()
                if " -c " in line and " _deps/weft-build/" in line and " -w " not in line]
        want(not loud, f"the outer project's warnings are on in weft's own sources: {loud[:1]}")

        if self.whole:
            run("ninja", "-C", build)
        else:
            self.build_a_part(build)
        run("ctest", "--test-dir", build, "--no-tests=error", "--output-on-failure")
        listed = run("ctest", "--test-dir", build, "-N")
        want("Total Tests: 1\n" in listed, "the outer project has tests that are not its own")
        if self.clang:
            for source in ("/main.cc.o", "/greeter.weft.cc.o"):
                command = next(c for c in commands["FetchContent"].splitlines()
                               if f"{source} -c" in c and " app/CMakeFiles/" in c).split()
                run(self.clang, "-fsyntax-only", *command[1:], cwd=build)

    def build_a_part(self, build):
        """The plugin, the program's own objects and one of each room; the library of the build stands for the rest."""
        rooms, names = {}, {}
        for folder in (self.build, build):
            found = re.findall(r"^(?:_deps/weft-build/)?((core|rpc)/CMakeFiles/(weft_(?:core|rpc)\w*)\.dir/\S+)\.o: CXX",
                               run("ninja", "-C", folder, "-t", "targets", "all"), re.MULTILINE)
            names[folder] = {name for name, _, _ in found}
            rooms = {target: [n for n, _, t in found if t == target] for _, _, target in found}
        want(names[build] and names[build] == names[self.build], "the library has other sources inside a project")
        sizes = lambda name: (ROOT / re.sub(r"CMakeFiles/\w+\.dir/", "", name)).stat().st_size
        chosen = [min((n for n in files if "weft/rpc" not in n), key=sizes) for room, files in sorted(rooms.items())
                  if room != "weft_rpc_proto"]
        run("ninja", "-C", build, *(f"_deps/weft-build/{name}.o" for name in chosen), "greeter_parts")
        library = build / "_deps" / "weft-build" / "libweft.a"
        shutil.copy(self.build / "libweft.a", library)
        link = run("ninja", "-C", build, "-t", "commands", "app/greeter").splitlines()[-1]
        run("sh", "-c", link, cwd=build)

    # ---- all

    def name_of(self, compiler):
        return pathlib.Path(compiler).name

    def copy_project(self, compiler):
        project = self.folder / self.name_of(compiler)
        shutil.copytree(HERE / "project", project)
        return project, self.folder / f"{project.name}-build"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("prefix", "find_package", "make", "headers", "only", "subproject"))
    parser.add_argument("--build", type=pathlib.Path, required=True, help="a build of weft with WEFT_INSTALL")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="a folder for all of this")
    parser.add_argument("--version", required=True)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--clang")
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    if arguments.step == "prefix":
        shutil.rmtree(arguments.work / "prefix", ignore_errors=True)
        arguments.step = "look"
        Step(arguments).prefix_step()
    else:
        getattr(Step(arguments), f"{arguments.step}_step")()
    return 0


if __name__ == "__main__":
    sys.exit(main())
