#!/usr/bin/env python3
"""Installs a build into a fresh prefix, then builds and runs the outside project against it, three ways: CMake with the
shared library, CMake with the static one, and plain protoc and g++ with pkg-config. Nothing of the source tree is on any
path but the outside project's own four files, and they are copied out of it first.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SAYS = "hello outside"


def run(*command, cwd=None, env=None):
    print("+", " ".join(str(word) for word in command), flush=True)
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        sys.exit(f"'{command[0]}' ended with {done.returncode}")
    return done.stdout


def want(condition, message):
    if not condition:
        sys.exit(message)


def check_prefix(prefix, version):
    library = prefix / "lib" / f"libweft.so.{version}"
    want(library.is_file(), f"{library} is not installed")
    want((prefix / "lib" / "libweft.so").is_symlink(), "libweft.so is no link")
    want("[libweft.so.0]" in run("readelf", "-d", library), "the soname is not libweft.so.0")
    for name in ("lib/libweft.a", "bin/protoc-gen-weft", "lib/pkgconfig/weft.pc", "lib/cmake/weft/weftConfig.cmake",
                 "include/weft/rpc/server.h", "include/weft/rpc/options.proto", "include/weft/rpc/options.pb.h"):
        want((prefix / name).is_file(), f"{name} is not installed")
    stray = [p for p in (prefix / "include").rglob("*") if p.is_file() and p.suffix not in (".h", ".proto")]
    want(not stray, f"installed among the headers: {stray}")


def with_cmake(project, prefix, compiler):
    build = project / "build"
    run("cmake", "-G", "Ninja", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_BUILD_TYPE=Debug")
    run("cmake", "--build", build, "-j", "2")
    shared = run("readelf", "-d", build / "greeter_shared")
    want("[libweft.so.0]" in shared, "greeter_shared does not use the shared library")
    static = run("readelf", "-d", build / "greeter_static")
    want("libweft" not in static, "greeter_static uses the shared library")
    for program in ("greeter_shared", "greeter_static"):
        want(SAYS in run(build / program), f"{program} did not say '{SAYS}'")


def with_pkg_config(project, prefix, compiler, source_root):
    env = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    includes = run("pkg-config", "--variable=includedir", "weft", env=env).strip()
    plugin = run("pkg-config", "--variable=plugin", "weft", env=env).strip()
    cflags = run("pkg-config", "--cflags", "weft", env=env).split()
    libs = run("pkg-config", "--libs", "weft", env=env).split()
    out = project / "plain"
    out.mkdir()
    run("protoc", f"--plugin=protoc-gen-weft={plugin}", f"--cpp_out={out}", f"--weft_out={out}", f"-I{includes}",
        "-I.", "greeter.proto", cwd=project)
    units = ["main.cc", out / "greeter.pb.cc", out / "greeter.weft.cc"]
    run(compiler, "-std=c++20", "-O0", "-MD", "-MF", out / "main.d", "-c", "main.cc", "-o", out / "main.o", f"-I{out}",
        *cflags, cwd=project)
    used = (out / "main.d").read_text(encoding="utf-8")
    want(str(source_root) not in used, f"a header of the source tree was used:\n{used}")
    run(compiler, "-std=c++20", "-O0", out / "main.o", *units[1:], "-o", out / "greeter", f"-I{out}", *cflags, *libs,
        f"-Wl,-rpath,{prefix}/lib", cwd=project)
    want(SAYS in run(out / "greeter"), f"the program built by hand did not say '{SAYS}'")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weft-install-") as folder:
        prefix = pathlib.Path(folder) / "prefix"
        project = pathlib.Path(folder) / "project"
        run("cmake", "--install", arguments.build, "--prefix", prefix)
        check_prefix(prefix, arguments.version)
        shutil.copytree(HERE / "project", project)
        with_cmake(project, prefix, arguments.compiler)
        with_pkg_config(project, prefix, arguments.compiler, HERE.parents[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
