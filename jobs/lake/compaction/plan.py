"""Which facility hours of table `chunks` can be compacted now, found by their files.

An hour is complete when every gateway that has a chunk in it has all 60 minutes, or has late
readings only: its minutes were taken before. What is not complete is taken once it ended `settle_s`
ago. Only hours between these two times are looked into, each file once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.compaction.stored import Place, at, read_file
from udfs.archive.schemas import HOUR_MS, MINUTES

_KEYS = ("gateway", "minute", "revision")


@dataclass(frozen=True)
class FacilityHour:
    """The chunk files of one facility and hour. hour_ms: its start, UTC epoch milliseconds."""

    facility: str
    hour_ms: int
    files: tuple[DataFile, ...]

    @property
    def place(self) -> Place:
        return self.facility, self.hour_ms

    def __str__(self) -> str:
        return f"{self.facility} {at(self.hour_ms):%Y-%m-%dT%H}"

    def paths(self) -> frozenset[str]:
        return frozenset(file.file_path for file in self.files)


class Planner:
    """Remembers which chunks are in files of hours that are under way, and what cannot be done."""

    def __init__(self, settle_s: int, facilities: str) -> None:
        """Args: facilities: regular expression of those to look after."""
        self._settle_ms = settle_s * 1000
        self._facilities = re.compile(facilities)
        self._keys: dict[str, pa.Table] = {}
        self._stuck: dict[Place, tuple[frozenset[str], int]] = {}
        self._since_ms: dict[Place, int] = {}
        self._begun = False

    def ready(self, chunks: Table, files: Iterable[DataFile], now_ms: int) -> list[FacilityHour]:
        """The hours that can be compacted, oldest first."""
        hours = [hour for hour in self._hours(files) if now_ms >= hour.hour_ms + HOUR_MS]
        self._forget(hours)
        found = [h for h in hours if self._is_news(h) and self._is_ready(chunks, h, now_ms)]
        for hour in found:
            since_ms = now_ms if self._begun else min(now_ms, self._settled_ms(hour))
            self._since_ms.setdefault(hour.place, since_ms)
        self._begun = True
        return found

    def done(self, hour: FacilityHour, left: Sequence[DataFile] = (), damaged: int = 0) -> None:
        """An hour was compacted; `left`: files that stay, for so much in them is damaged."""
        self._since_ms.pop(hour.place, None)
        self._stuck.pop(hour.place, None)
        if left:
            self._stuck[hour.place] = frozenset(file.file_path for file in left), damaged

    def damaged(self) -> int:
        """Chunks and files that cannot be read, and are left where they are."""
        return sum(damaged for _, damaged in list(self._stuck.values()))

    def lag_s(self, now_ms: int) -> float:
        """How long the hour that waits longest has been ready, in seconds; 0 when none is."""
        # copied: Prometheus asks from a thread of its own
        return (
            max((now_ms - since_ms for since_ms in list(self._since_ms.values())), default=0) / 1000
        )

    def _hours(self, files: Iterable[DataFile]) -> Iterator[FacilityHour]:
        groups: dict[tuple[int, str], list[DataFile]] = defaultdict(list)
        for file in files:
            facility, hour = file.partition[0], file.partition[1]
            if self._facilities.fullmatch(facility):
                groups[hour * HOUR_MS, facility].append(file)
        for (hour_ms, facility), group in sorted(groups.items(), key=lambda item: item[0]):
            yield FacilityHour(facility, hour_ms, tuple(group))

    def _forget(self, hours: Sequence[FacilityHour]) -> None:
        places = {hour.place for hour in hours}
        paths = {path for hour in hours for path in hour.paths()}
        self._keys = {path: keys for path, keys in self._keys.items() if path in paths}
        self._stuck = {place: found for place, found in self._stuck.items() if place in places}
        self._since_ms = {p: since for p, since in self._since_ms.items() if p in places}

    def _is_news(self, hour: FacilityHour) -> bool:
        return hour.paths() != self._stuck.get(hour.place, (frozenset(), 0))[0]

    def _settled_ms(self, hour: FacilityHour) -> int:
        return hour.hour_ms + HOUR_MS + self._settle_ms

    def _is_ready(self, chunks: Table, hour: FacilityHour, now_ms: int) -> bool:
        if now_ms >= self._settled_ms(hour):
            return True
        try:
            for file in hour.files:
                if file.file_path not in self._keys:
                    self._keys[file.file_path] = read_file(chunks, file, _KEYS)
        except (OSError, pa.ArrowException):  # told when the hour is read as a whole
            return False
        return is_complete(pa.concat_tables([self._keys[path] for path in sorted(hour.paths())]))


def is_complete(keys: pa.Table) -> bool:
    """Whether each gateway has 60 minutes or late readings only.

    Args: keys: gateway, minute and revision of all chunks of a facility hour.
    """
    first = keys.filter(pc.equal(keys["revision"], 1))
    minutes = first.group_by("gateway").aggregate([("minute", "count_distinct")])
    return bool(pc.all(pc.equal(minutes["minute_count_distinct"], MINUTES), min_count=0).as_py())
