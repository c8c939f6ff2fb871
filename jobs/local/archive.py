"""Class archives (Java's CDS): each process maps the classes it will load instead of parsing them.

They take 40 % off the start of every Java process here. An archive belongs to one Java and one
class path; its name says which, so a stale one is never used, and without one everything still
works. `make setup` records them (`train.py`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from jobs.local.paths import BUILD

FOLDER = BUILD / "classes"

# (role, java, class path) -> options for Java
Options = Callable[[str, str, str], list[str]]


def use(role: str, java: str, class_path: str) -> list[str]:
    """Options that use the archive of a role, if it has one."""
    file = archive(role, java, class_path)
    return [f"-XX:SharedArchiveFile={file}"] if file.exists() else []


def record(role: str, java: str, class_path: str) -> list[str]:
    """Options that write the archive when the process ends; `keep` then puts it into use."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    return [f"-XX:ArchiveClassesAtExit={_half(archive(role, java, class_path))}"]


def begin() -> None:
    """Forget what an interrupted recording left."""
    for half in FOLDER.glob("*.new"):
        half.unlink()


def keep() -> list[Path]:
    """Put into use what `record` wrote, and drop all older archives. Returns: the archives."""
    halves = list(FOLDER.glob("*.new"))
    for old in FOLDER.glob("*.jsa"):
        old.unlink()
    return [half.rename(half.with_suffix("")) for half in halves]


def archive(role: str, java: str, class_path: str) -> Path:
    """Where the archive of a role lies, for this Java and these jars as they are now."""
    jars = [path for entry in class_path.split(os.pathsep) for path in _files(Path(entry))]
    stamps = [f"{jar} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in jars]
    known = "\n".join([java, str(Path(java).stat().st_mtime_ns), *stamps])
    return FOLDER / f"{role}-{hashlib.sha256(known.encode()).hexdigest()[:12]}.jsa"


def _files(entry: Path) -> list[Path]:
    return sorted(entry.parent.glob("*.jar")) if entry.name == "*" else [entry]


def _half(file: Path) -> Path:
    return file.with_suffix(".jsa.new")
