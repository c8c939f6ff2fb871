"""What a run has started, as a file: so that any later command can find it and stop it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from jobs.common.errors import ClusterError
from jobs.local.process import Child

_VERSION = 1
_LOCK_LIMIT_S = 120.0


@dataclass
class State:
    """Ports by name (kafka, rest, ...), and children by name (kafka, jobmanager, ...)."""

    ports: dict[str, int] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    def alive(self) -> dict[str, Child]:
        """The children that still run."""
        return {name: child for name, child in self.children.items() if child.alive}


def load(file: Path) -> State:
    """Read a state file; an absent or unreadable one is an empty state.

    Half a file, or one of another version, names nothing that could be trusted: strays are found
    by their tag instead.
    """
    try:
        data = json.loads(file.read_text())
        if data["version"] != _VERSION:
            return State()
        children = {
            name: Child(name, child["pid"], child["started"], Path(child["log"]))
            for name, child in data["children"].items()
        }
        return State(dict(data["ports"]), children)
    except (OSError, ValueError, KeyError, TypeError):
        return State()


def save(state: State, file: Path) -> None:
    """Write the state whole or not at all."""
    children = {
        name: {"pid": child.pid, "started": child.started, "log": str(child.log)}
        for name, child in state.children.items()
    }
    data = {"version": _VERSION, "ports": state.ports, "children": children}
    half = file.with_suffix(".new")
    half.write_text(json.dumps(data, indent=2) + "\n")
    half.replace(file)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One command at a time starts or stops a run; the kernel drops the lock of a dead one.

    Raises: ClusterError: another command holds it for two minutes.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _LOCK_LIMIT_S
    with file.open("w") as lock:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise ClusterError(f"another command still starts or stops this stack ({file})")
            time.sleep(0.2)
        yield
