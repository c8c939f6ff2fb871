"""A gateway as a real process that can be killed, with a real broker in front of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from jobs.local.ports import LOOPBACK, free_ports

_LIMIT_S = 20.0


class Box:
    """The process, its settings and its folder."""

    def __init__(self, folder: Path, facility: str, **settings: Any) -> None:
        self.folder, self.page = folder, free_ports(1)[0]
        self.log = folder / "gateway.log"
        self.started_s: list[float] = []  # how long each start took, until it takes readings
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = folder / "gateway.yaml"
        found = {
            "facility": facility,
            "spool": {"folder": str(folder / "spool"), "max_bytes": 256 * 1024**2,
                      "segment_bytes": 1024**2, "checkpoint_s": 5},
            "http": {"port": self.page},
            **settings,
        }  # fmt: skip
        self._settings.write_text(yaml.safe_dump(found))

    def start(self) -> None:
        """Start it and wait until it says that it has started."""
        self.log.touch()
        with self.log.open("ab") as out:
            out.seek(0, os.SEEK_END)
            begin, began_s = out.tell(), time.perf_counter()
            command = [sys.executable, "-m", "edge", str(self._settings)]
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        while b'"event": "started"' not in self.log.read_bytes()[begin:]:
            if self._process.poll() is not None or time.perf_counter() - began_s > _LIMIT_S:
                raise AssertionError(f"it did not start:\n{self.log.read_text()[begin:][-3000:]}")
            time.sleep(0.01)
        self.started_s.append(time.perf_counter() - began_s)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end. Returns: its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(_LIMIT_S)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self) -> int:
        """Until it ends by itself. Returns: its exit code."""
        assert self._process is not None
        return self._process.wait(_LIMIT_S)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it logged under a name."""
        lines = [x for x in self.log.read_text().splitlines() if x.startswith("{")]
        return [said for line in lines if (said := json.loads(line))["event"] == name]


def broker(port: int) -> dict[str, Any]:
    """The gateway's settings of its broker."""
    return {"host": LOOPBACK, "port": port}
