"""`hardiot doctor`: look at this machine and say what is missing or does not fit together."""

from __future__ import annotations

import re
import resource
import shutil
import socket
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import psutil

from jobs.local import checks, java, paths
from jobs.local.checks import Check
from jobs.local.ports import free_ports

_PORTS = 12  # what a stack of three TaskManagers takes, and some to spare
_CGROUP = Path("/sys/fs/cgroup")
_POM_VERSION = re.compile(r"\{.*\}(.+\.version)")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def examine() -> list[Check]:
    """Every check, the cause before what depends on it."""
    return [_run(check) for check in _CHECKS]


def _run(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (OSError, ElementTree.ParseError, KeyError) as error:
        name = check.__name__.strip("_").replace("_", " ")
        return Check(name, "fail", f"cannot be looked at: {error}", "git status; make setup")


def _python() -> Check:
    return checks.python(sys.version_info[:2])


def _java() -> Check:
    return checks.java({str(home): java.version(home) for home in java.homes()})


def _maven() -> Check:
    return checks.maven(shutil.which("mvn"), jars_complete=_jars().status == "ok")


def _packages() -> Check:
    wanted = pins((paths.ROOT / "requirements.txt").read_text())
    installed = {
        normal(distribution.metadata["Name"]): distribution.version
        for distribution in metadata.distributions()
    }
    return checks.packages(wanted, installed)


def _versions() -> Check:
    try:
        installed = metadata.version("apache-flink")
    except metadata.PackageNotFoundError:
        installed = None
    return checks.versions(pom_versions(paths.POM), installed)


def _jars() -> Check:
    flink, kafka = (
        [jar.name for jar in sorted((paths.JARS / folder).glob("*.jar"))]
        for folder in ("flink", "kafka")
    )
    return checks.jars(pom_versions(paths.POM), flink, kafka)


def _our_jar() -> Check:
    jar = paths.JARS / "flink" / "hardiot-kafka-1.jar"
    sources = [path for path in paths.JAVA_SOURCES.rglob("*") if path.is_file()]
    newest = max(path.stat().st_mtime for path in [*sources, paths.POM])
    return checks.built(jar.stat().st_mtime if jar.exists() else None, newest)


def _ports() -> Check:
    try:
        address = socket.gethostbyname("localhost")
    except OSError:
        address = None
    try:
        ports_free = len(free_ports(_PORTS)) == _PORTS
    except OSError:
        ports_free = False
    return checks.loopback(address, ports_free)


def _memory() -> Check:
    available = psutil.virtual_memory().available
    return checks.memory(min(available, cgroup_memory(_CGROUP) or available))


def _open_files() -> Check:
    return checks.open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _disk() -> Check:
    return checks.disk(shutil.disk_usage(paths.ROOT).free)


_CHECKS = (
    _python,
    _packages,
    _java,
    _maven,
    _versions,
    _jars,
    _our_jar,
    _ports,
    _memory,
    _open_files,
    _disk,
)


def pins(requirements: str) -> dict[str, str]:
    """Pinned versions by normalised name, from a requirements file."""
    return {normal(name): version for name, version in _PIN.findall(requirements)}


def normal(name: str) -> str:
    """A distribution's name as packaging tools compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pom_versions(pom: Path) -> dict[str, str]:
    """The `*.version` properties of a Maven file."""
    root = ElementTree.parse(pom).getroot()
    matches = [(_POM_VERSION.fullmatch(element.tag), element.text) for element in root.iter()]
    return {match[1]: text or "" for match, text in matches if match}


def cgroup_memory(folder: Path) -> int | None:
    """What a container's limit leaves, in bytes; None without a limit."""
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return int(limit) - used if limit.isdigit() else None
