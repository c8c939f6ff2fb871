"""The part `conf`: flink-conf with its rules and catalogues, without what is secret in it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from jobs.backup.store import Store

PART = "conf"
# `kafka` and `catalog_properties` of jobs' settings hold passwords under names of their clients
_SECRET = re.compile(
    r"^(kafka|catalog_properties)$|password|secret|credential|jaas|access.?key|"
    r"token(?!.?(file|env)$)",
    re.I,
)


def store_conf(store: Store, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Returns: counts, and the secrets that were left out."""
    left_out = []
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        name = path.relative_to(folder).as_posix()
        data, secrets = _open(path.read_bytes()) if path.suffix in (".yaml", ".yml") else (None, [])
        store.write(f"{PART}/{name}", path.read_bytes() if data is None else data)
        left_out += [f"flink-conf/{name}: {key}: set it anew" for key in secrets]
    return {"files": len(paths)}, left_out


def _open(data: bytes) -> tuple[bytes | None, list[str]]:
    """(the file without its secrets, None when it has none; their names)."""
    try:
        found = yaml.safe_load(data)
    except yaml.YAMLError:
        return None, []
    secrets: list[str] = []
    kept = _kept(found, "", secrets)
    return (yaml.safe_dump(kept, sort_keys=False).encode() if secrets else None), secrets


def _kept(value: Any, place: str, secrets: list[str]) -> Any:
    if isinstance(value, list):
        return [_kept(item, f"{place}{n}.", secrets) for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        if _SECRET.search(str(key)):
            secrets.append(f"{place}{key}")
        else:
            found[key] = _kept(item, f"{place}{key}.", secrets)
    return found


class ConfBack:
    """flink-conf into an empty folder."""

    def __init__(self, folder: Path, target: Path) -> None:
        self._source, self._target = folder / PART, target

    def mistakes(self) -> Iterator[str]:
        """Why it cannot be."""
        if self._target.exists() and any(self._target.iterdir()):
            yield f"{self._target}: not empty"

    def plan(self) -> Iterator[str]:
        """What will be done."""
        yield f"flink-conf to {self._target}"

    def restore(self) -> None:
        """Copy it."""
        shutil.copytree(self._source, self._target, dirs_exist_ok=True)
