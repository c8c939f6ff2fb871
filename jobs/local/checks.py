"""The checks of `hardiot doctor`: each looks at values that it is given, never at the machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jobs.local.java import VERSION as JAVA_VERSION

Status = Literal["ok", "warn", "fail"]

_GIB = 1024**3
SETUP = "make setup"


@dataclass(frozen=True)
class Check:
    """What one check found, and the step that puts it right (empty when nothing is to be done)."""

    name: str
    status: Status
    found: str
    fix: str = ""


def python(version: tuple[int, int]) -> Check:
    """Flink's Python runtime and our pinned wheels are built for 3.11."""
    found = f"{version[0]}.{version[1]}"
    if version == (3, 11):
        return Check("Python", "ok", found)
    return Check("Python", "fail", f"{found}, needed 3.11", f"rm -r .venv && {SETUP}")


def java(versions: Mapping[str, int | None]) -> Check:
    """Flink 2 refuses 8, and PyFlink's reflection options fit 17; versions by home."""
    seventeen = [home for home, version in versions.items() if version == JAVA_VERSION]
    if seventeen:
        return Check("Java", "ok", f"{JAVA_VERSION} in {seventeen[0]}")
    others = ", ".join(f"{version or 'unknown'} in {home}" for home, version in versions.items())
    fix = f"apt-get install openjdk-{JAVA_VERSION}-jre-headless"
    return Check("Java", "fail", f"{others or 'none'}, needed {JAVA_VERSION}", fix)


def maven(path: str | None, jars_complete: bool) -> Check:
    """Needed to fetch jars; once they are there, only for the next version."""
    if path:
        return Check("Maven", "ok", path)
    status: Status = "warn" if jars_complete else "fail"
    return Check("Maven", status, "not found", "apt-get install maven")


def packages(wanted: Mapping[str, str], installed: Mapping[str, str]) -> Check:
    """Whether the environment holds exactly what requirements.txt pins; names normalised."""
    wrong = [
        f"{name} {installed.get(name, 'missing')} (pinned {version})"
        for name, version in wanted.items()
        if installed.get(name) != version
    ]
    if not wrong:
        return Check("packages", "ok", f"{len(wanted)} as pinned")
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Check("packages", "fail", ", ".join(wrong[:3]) + more, SETUP)


def versions(pom: Mapping[str, str], apache_flink: str | None) -> Check:
    """The jars are for the Flink that is installed; the connector's suffix is Flink's minor."""
    flink, connector = pom["flink.version"], pom["flink.kafka.version"]
    if apache_flink != flink:
        found = f"pom.xml says {flink}, installed is apache-flink {apache_flink or 'missing'}"
        return Check("versions", "fail", found, "set flink.version in infra/jars/pom.xml to it")
    minor = ".".join(flink.split(".")[:2])
    if connector.rpartition("-")[2] != minor:
        found = f"Kafka connector {connector} is not for Flink {minor}"
        fix = f"set flink.kafka.version in infra/jars/pom.xml to one that ends in -{minor}"
        return Check("versions", "fail", found, fix)
    return Check("versions", "ok", f"Flink {flink}, connector {connector}")


def jars(pom: Mapping[str, str], flink: Sequence[str], kafka: Sequence[str]) -> Check:
    """Every jar is there in the pinned version, and in no other beside it; names of files."""
    wanted = {
        f"flink-sql-connector-kafka-{pom['flink.kafka.version']}.jar": flink,
        "hardiot-kafka-1.jar": flink,
        f"kafka_2.13-{pom['kafka.version']}.jar": kafka,
        f"kafka-tools-{pom['kafka.version']}.jar": kafka,
    }
    missing = [name for name, folder in wanted.items() if name not in folder]
    if missing:
        return Check("jars", "fail", f"missing {', '.join(missing)}", SETUP)
    doubles = _doubles(flink) + _doubles(kafka)
    if doubles:
        fix = f"rm -r build/jars && {SETUP}"
        return Check("jars", "fail", f"in two versions: {', '.join(doubles)}", fix)
    return Check("jars", "ok", f"{len(flink)} for Flink, {len(kafka)} for Kafka")


def _doubles(names: Iterable[str]) -> list[str]:
    artifacts = [re.sub(r"-\d[^/]*\.jar$", "", name) for name in names]
    return sorted({artifact for artifact in artifacts if artifacts.count(artifact) > 1})


def built(jar_time: float | None, newest_source: float) -> Check:
    """Our own jar holds the present sources; modification times, epoch seconds."""
    if jar_time is None:
        return Check("our jar", "fail", "not built", SETUP)
    if jar_time < newest_source:
        return Check("our jar", "fail", "older than its sources", SETUP)
    return Check("our jar", "ok", "newer than its sources")


def loopback(address: str | None, ports_free: bool) -> Check:
    """Servers listen on 127.0.0.1, and the name localhost leads there."""
    if address != "127.0.0.1":
        found = f"localhost is {address or 'unknown'}"
        return Check("ports", "fail", found, 'add "127.0.0.1 localhost" to /etc/hosts')
    if not ports_free:
        fix = "end some of the servers that `ss -ltn` shows"
        return Check("ports", "fail", "too few free between 20000 and 32000", fix)
    return Check("ports", "ok", "free on 127.0.0.1")


def memory(available_bytes: int) -> Check:
    """Broker, JobManager and three TaskManagers reserve 10 GiB and use about 4."""
    found = f"{available_bytes / _GIB:.1f} GiB available"
    if available_bytes < 4 * _GIB:
        return Check("memory", "fail", f"{found}, needed 4", "end other programs")
    if available_bytes < 10 * _GIB:
        fix = "use fewer TaskManagers (hardiot up --taskmanagers 1)"
        return Check("memory", "warn", f"{found}, full load needs 10", fix)
    return Check("memory", "ok", found)


def open_files(limit: int) -> Check:
    """Kafka holds three files a partition segment, the JVMs several hundred jars."""
    if limit < 1024:
        return Check("open files", "fail", f"limit {limit}", "ulimit -n 20000")
    if limit < 4096:
        found = f"limit {limit}: enough for about 100 facilities"
        return Check("open files", "warn", found, "ulimit -n 20000")
    return Check("open files", "ok", f"limit {limit}")


def disk(free_bytes: int) -> Check:
    """Set-up takes 4 GB; Kafka's data come on top."""
    found = f"{free_bytes / _GIB:.0f} GiB free"
    if free_bytes < 2 * _GIB:
        return Check("disk", "fail", found, "make clean, or free some space")
    if free_bytes < 8 * _GIB:
        return Check("disk", "warn", f"{found}: a long run may fill it", "free some space")
    return Check("disk", "ok", found)
