"""A restore: everything is looked at first, and nothing is touched while there is a mistake.

with Restore(folder, places, parts, conf=None, copies=None) as restore:
    restore.plan()                  # lines; BackupError: all mistakes
    restore.run(print)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from jobs.backup import savepoints
from jobs.backup.conf import ConfBack
from jobs.backup.manifest import BackupError, Manifest, mistakes, read
from jobs.backup.points import Server
from jobs.backup.points_restore import BucketsBack
from jobs.backup.run import Places
from jobs.backup.tables_restore import TablesBack
from jobs.backup.topics_restore import OffsetsBack, TopicsBack
from jobs.common.errors import HardiotError
from jobs.lake.catalog import open_catalog


class Part(Protocol):
    """What a part of a backup does on the way back."""

    def mistakes(self) -> Iterator[str]:
        """Why it cannot be, a line each."""

    def plan(self) -> Iterator[str]:
        """What will be done, a line each."""

    def restore(self) -> None:
        """Do it."""


class Restore:
    """One backup and where it goes. parts: of `run.PARTS`; offsets only on a Kafka that was not
    lost, so never with kafka. conf: the folder for flink-conf. copies: of each topic's partition.
    """

    def __init__(
        self,
        folder: Path,
        places: Places,
        parts: Collection[str],
        conf: Path | None = None,
        copies: int | None = None,
    ) -> None:
        self._folder, self._places, self._parts = folder, places, parts
        self._conf, self._copies = conf, copies
        self._open: dict[str, Part] = {}
        self._stack = ExitStack()
        self.manifest: Manifest = read(folder)

    def plan(self) -> list[str]:
        """What will be done. Raises: BackupError: all that is wrong, with it or the place."""
        damaged = [f"{self._folder}: {line}" for line in mistakes(self._folder, self.manifest)]
        wrong = [*damaged, *self._choice()]
        if not damaged:  # what is damaged is not read
            wrong += self._look()
        if wrong:
            raise BackupError("\n".join(wrong))
        lines = [line for part in self._open.values() for line in part.plan()]
        return lines + [f"afterwards: {line}" for line in self.afterwards()]

    def run(self, told: Callable[[str], None]) -> None:
        """Do it, after `plan`. Raises: HardiotError: what was done until then stays."""
        for name, part in self._open.items():
            began = time.monotonic()
            part.restore()
            told(f"{name}: {time.monotonic() - began:.1f} s")

    def afterwards(self) -> list[str]:
        """What a person has to do: start the jobs, give what is not in a backup."""
        found = [f"left out: {line}" for line in self.manifest.left_out]
        if "flink" in self._parts and "flink" in self.manifest.counts:
            found += savepoints.commands(self._folder)
        return found

    def _choice(self) -> Iterator[str]:
        """What is wrong with the parts that are wanted."""
        kafka = {"kafka", "offsets"} & set(self._parts)
        if len(kafka) > 1:
            yield "offsets: mean nothing in new topics: leave out kafka or offsets"
        if "flink" in self._parts and not kafka:
            yield (
                "flink: a job goes on from its group where its savepoint has no offset: restore "
                "kafka (it is new) or offsets (it was not lost), too"
            )

    def _look(self) -> Iterator[str]:
        for name in self._parts:
            if name not in self.manifest.counts:
                yield f"{name}: is not in this backup"
                continue
            try:
                part = self._part(name)
                if part is not None:
                    self._open[name] = part
                    yield from part.mistakes()
            except HardiotError as error:
                yield str(error)

    def _part(self, name: str) -> Part | None:
        places = self._places
        if name == "lake":
            catalog = self._stack.enter_context(open_catalog(places.lake))
            new = "kafka" in self._parts
            return TablesBack(self._folder, self.manifest, catalog, places.lake, new)
        if name == "influx":
            server = Server(places.influx, places.influx_token)
            self._stack.callback(server.close)
            return BucketsBack(self._folder, server)
        if name == "kafka":
            return TopicsBack(self._folder, places.bootstrap, self._copies)
        if name == "offsets":
            return OffsetsBack(self._folder, places.bootstrap)
        return ConfBack(self._folder, self._conf) if name == "conf" and self._conf else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
