"""'./dev setup' installs only what the tree uses: each package of dev's lists has a use here, which is looked for."""

import re

from source import broken

# The uses of a package: where to look, and for what.
HEADERS = ("core/*", "rpc/**/*", "codegen/*", "tests/**/*.cc", "bench/**/*.cc")
CMAKE = ("CMakeLists.txt", "*/**/CMakeLists.txt", "*/**/*.cmake", "CMakePresets.json")
USES = {
    "g++": (CMAKE, r'"g\+\+"'),
    "cmake": (("dev",), r"cmake --preset"),
    "ninja-build": (CMAKE, r'"generator": "Ninja"'),
    "make": (("tests/install/run.py",), r'run\("make"'),
    "ccache": (CMAKE, r"find_program\(\w+ ccache\)"),
    "git": (("dev",), r"git ls-files"),
    "pkg-config": (CMAKE, r"pkg_check_modules"),
    "python3": (CMAKE, r"find_package\(Python3"),
    "libevent-dev": (HEADERS, r"<event2/"),
    "libc-ares-dev": (HEADERS, r"<ares\.h>"),
    "protobuf-compiler": (CMAKE, r"protobuf::protoc"),
    "libprotobuf-dev": (HEADERS, r"<google/protobuf/"),
    "libprotoc-dev": (HEADERS, r"<google/protobuf/compiler/"),
    "libabsl-dev": (HEADERS, r'"absl/'),
    "zlib1g-dev": (HEADERS, r"<zlib\.h>"),
    "libzstd-dev": (HEADERS, r"<zstd\.h>"),
    "libgtest-dev": (HEADERS, r"<gtest/"),
    "libgmock-dev": (HEADERS, r"<gmock/"),
    "libbenchmark-dev": (HEADERS, r"<benchmark/"),
    "iproute2": (("tests/net/*.py",), r'"ip"'),
    "nftables": (("tests/net/*.py",), r'"nft"'),
    "clang-16": (CMAKE, r"clang\+\+-16"),
    "clang-format-16": (("dev",), r"clang-format-16 -i"),
    "clang-tidy-16": (("dev",), r"run-clang-tidy-16"),
    "libclang-rt-16-dev": (CMAKE, r"-fsanitize=fuzzer"),
    "mold": (("dev",), r"-fuse-ld=mold"),
    "libgrpc++-dev": (HEADERS, r"<grpcpp/"),
    "protobuf-compiler-grpc": (CMAKE, r"grpc_cpp_plugin"),
    "libthrift-dev": (HEADERS, r"<thrift/"),
    "thrift-compiler": (CMAKE, r"\bthrift\b"),
    "libboost-dev": (CMAKE, r"boost/"),
    "libcapnp-dev": (HEADERS, r"<capnp/"),
    "capnproto": (CMAKE, r"\bcapnp\b"),
    "debootstrap": (("dev",), r"debootstrap --variant"),
}

LIST = re.compile(r"^\w+_PACKAGES=\(([^)]*)\)", re.MULTILINE)


def used(root, where, pattern):
    return any(
        re.search(pattern, re.sub(r"^\w+_PACKAGES=\([^)]*\)", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
        for glob in where for path in root.glob(glob) if path.is_file()
    )


def check(root):
    script = root / "dev"
    if not script.is_file():
        return []
    text = script.read_text(encoding="utf-8")
    faults, listed = [], set()
    for found in LIST.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        for package in found.group(1).split():
            listed.add(package)
            if package not in USES:
                faults.append(broken("dev", line, f"nothing says what {package} is for (tests/structure/packages.py)"))
            elif not used(root, *USES[package]):
                faults.append(broken("dev", line, f"nothing uses {package}"))
    # A tree of a canary has but a part of it.
    if (root / "tests/structure/packages.py").is_file():
        for package in sorted(set(USES) - listed):
            faults.append(broken("tests/structure/packages.py", 1, f"{package} is not installed any more"))
    return faults
