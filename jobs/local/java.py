"""Which Java runs the stack: 17, wherever it is installed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from jobs.common.errors import ClusterError

VERSION = 17
_INSTALLED = Path("/usr/lib/jvm")


def homes() -> list[Path]:
    """Every Java on this machine, the preferred first: JAVA_HOME, the one on PATH, Debian's."""
    found = [Path(home)] if (home := os.environ.get("JAVA_HOME")) else []
    if on_path := shutil.which("java"):
        found.append(Path(on_path).resolve().parents[1])
    found += sorted(_INSTALLED.glob("*"))
    return [home for home in dict.fromkeys(found) if (home / "bin" / "java").exists()]


def version(home: Path) -> int | None:
    """The major version that a Java's `release` file names, without starting it."""
    release = home / "release"
    text = release.read_text() if release.exists() else ""
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    return int(match[1]) if match else None


def pick(candidates: Iterable[Path]) -> Path:
    """The first Java 17.

    Raises: ClusterError: there is none.
    """
    seen = list(candidates)
    for home in seen:
        if version(home) == VERSION:
            return home
    others = ", ".join(f"{home} ({version(home) or 'unknown'})" for home in seen) or "no Java"
    raise ClusterError(f"Java {VERSION} is needed, found {others}: run `make setup`")


def java() -> str:
    """The java program of version 17.

    Raises: ClusterError: there is none.
    """
    return str(pick(homes()) / "bin" / "java")
