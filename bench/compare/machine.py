"""The machine a comparison ran on, for the line above its figures."""

import datetime
import os
import platform
import subprocess

_PACKAGES = {  # Debian's name: ours
    "libevent-dev": "libevent",
    "libprotobuf-dev": "protobuf",
    "libabsl-dev": "Abseil",
    "libgrpc++-dev": "gRPC",
    "libthrift-dev": "Thrift",
    "libcapnp-dev": "Cap'n Proto",
}


def _first_line(*command):
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return output.stdout.splitlines()[0].strip() if output.stdout else ""


def cpu_model(cpuinfo):
    """The model in the text of /proc/cpuinfo, and whether it is a virtual one."""
    model, virtual = "unknown CPU", False
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        key = key.strip().lower()
        if key in ("model name", "hardware", "cpu model") and model == "unknown CPU":
            model = " ".join(value.split()) or model
        elif key == "flags" and "hypervisor" in value.split():
            virtual = True
    return model + (" (virtual machine)" if virtual else "")


def compiler_of(build):
    """The compiler a build folder was configured with, else the system's."""
    compiler = "c++"
    try:
        with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as cache:
            for line in cache:
                if line.startswith("CMAKE_CXX_COMPILER:"):
                    compiler = line.split("=", 1)[1].strip()
    except OSError:
        pass
    return _first_line(compiler, "--version") or "unknown compiler"


def package_versions():
    versions = {}
    for package, name in _PACKAGES.items():
        version = _first_line("dpkg-query", "-W", "-f", "${Version}\n", package)
        if version:
            versions[name] = version
    return versions


def describe(build):
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            cpu = cpu_model(file.read())
    except OSError:
        cpu = "unknown CPU"
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "compiler": compiler_of(build),
        "packages": package_versions(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 2),
    }
