"""How long everything is kept, and what must not be deleted: flink-conf/retention.yaml.

    policy = load_policy(Path("flink-conf/retention.yaml"))
    policy.kept_ms("readings", "plant-07")
    policy.held("plant-07", from_ms, to_ms, now_ms)      # the hold that forbids it, if there is one

Durations are `36h`, `90d` or `5y`, or `forever`. A year is 366 days, so that no year is too short.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from jobs.common.contracts import load_topics
from jobs.common.typed_yaml import read, suggest
from udfs.rules.base import Glob, Strict, mistake
from udfs.rules.globs import matcher

FILE = Path("flink-conf/retention.yaml")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# so far back that no time is before it, so small that sums of times still fit
FOREVER_MS = 1 << 60

_UNITS = {"h": HOUR_MS, "d": DAY_MS, "y": 366 * DAY_MS}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([hdy])")


def duration_ms(given: Any) -> int:
    """Milliseconds of `36h`, `90d`, `5y` or `forever`."""
    if given == "forever":
        return FOREVER_MS
    found = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise mistake(f"{given!r} is no duration", "as in 36h, 90d, 5y or forever")
    return int(found[1]) * _UNITS[found[2]]


def shown(ms: int) -> str:
    """A duration as people write it."""
    if ms >= FOREVER_MS:
        return "forever"
    unit = next(unit for unit in "ydh" if ms % _UNITS[unit] == 0)
    return f"{ms // _UNITS[unit]}{unit}"


def _at_least(least: str) -> Any:
    def check(ms: int) -> int:
        if ms < duration_ms(least):
            raise mistake(f"{shown(ms)} is too short", f"at least {least}")
        return ms

    return check


Duration = Annotated[int, BeforeValidator(duration_ms)]


class Tables(Strict):
    """How long rows of each table are kept, by event time. `chunks` go when they are compacted."""

    readings: Duration
    rollups: Duration
    rollups_hour: Duration
    rollups_day: Duration
    alerts: Duration
    ledger: Duration
    counted: Duration
    dead_letters: Duration
    restatements: Duration


class SomeTables(Strict):
    """The same for some facilities: what is not named is as for all."""

    readings: Duration | None = None
    rollups: Duration | None = None
    rollups_hour: Duration | None = None
    rollups_day: Duration | None = None
    alerts: Duration | None = None
    ledger: Duration | None = None
    counted: Duration | None = None
    dead_letters: Duration | None = None
    restatements: Duration | None = None


def _topics(given: dict[str, int]) -> dict[str, int]:
    known = {topic.name: topic for topic in load_topics()}
    for name, ms in given.items():
        if name not in known:
            raise mistake(
                f"unknown topic {suggest(name, known)}",
                "topics are in infra/contracts/topics.yaml",
            )
        if known[name].cleanup == "compact":
            raise mistake(f"{name} is compacted, not kept for a time", "leave it out")
        # whoever reads it may be down for a day
        _at_least("24h")(ms)
    return given


class Override(Strict):
    """Other durations for some facilities; the first that names a table or topic counts."""

    facility: Glob
    why: Annotated[str, Field(min_length=1)]
    tables: SomeTables = SomeTables()
    topics: dict[str, Duration] = Field(default_factory=dict)

    @field_validator("topics")
    @classmethod
    def _known(cls, given: dict[str, int]) -> dict[str, int]:
        for name in _topics(given):
            if not name.endswith(".<facility>"):
                raise mistake(f"{name} is of all facilities", "write it under topics: of the file")
        return given


class Hold(Strict):
    """Nothing of these facilities is deleted, whatever its age, until somebody ends it.

    since, to: only of these days, the last one included. expires: from that day on it is over.
    """

    facility: Glob
    why: Annotated[str, Field(min_length=1)]
    since: date | None = Field(None, alias="from")
    to: date | None = None
    expires: date | None = None

    @field_validator("to")
    @classmethod
    def _after_since(cls, to: date | None, info: ValidationInfo) -> date | None:
        since = info.data.get("since")
        if to and since and to < since:
            raise mistake(f"{to} is before {since}", "give a later day")
        return to

    def covers(self, facility: str, from_ms: int, to_ms: int, now_ms: int) -> bool:
        """Whether it forbids to delete something of that facility and time, both ends included."""
        after = self.since is None or to_ms >= _day_ms(self.since)
        before = self.to is None or from_ms < _day_ms(self.to + timedelta(days=1))
        return self.is_on(now_ms) and after and before and matcher(self.facility)(facility)

    def is_on(self, now_ms: int) -> bool:
        """Whether it is not over."""
        return self.expires is None or now_ms < _day_ms(self.expires)


class Upkeep(Strict):
    """How long maintenance waits before it takes away what nobody should need any more.

    snapshots: old states of a table, as long as the longest query at least. writers: a job that
    has not committed for so long is gone, and must not be restored from its checkpoints. orphans:
    files that no table names, from their last change on.
    """

    snapshots: Duration = 24 * HOUR_MS
    writers: Duration = 3 * DAY_MS
    orphans: Duration = 3 * DAY_MS

    @field_validator("snapshots")
    @classmethod
    def _outlasts_queries(cls, ms: int) -> int:
        return int(_at_least("1h")(ms))

    @field_validator("writers")
    @classmethod
    def _outlasts_an_outage(cls, ms: int) -> int:
        return int(_at_least("48h")(ms))

    @field_validator("orphans")
    @classmethod
    def _outlasts_writers(cls, ms: int, info: ValidationInfo) -> int:
        if ms < info.data.get("writers", 0):
            raise mistake(
                f"{shown(ms)} is shorter than writers",
                "a job that comes back after an outage still commits files from before it",
            )
        return ms


class Policy(Strict):
    """The whole file. buckets: InfluxDB buckets by glob, the first that fits. topics: other
    times than those of infra/contracts/topics.yaml."""

    tables: Tables
    buckets: dict[Glob, Duration] = Field(default_factory=dict)
    topics: dict[str, Duration] = Field(default_factory=dict)
    facilities: list[Override] = Field(default_factory=list)
    holds: list[Hold] = Field(default_factory=list)
    upkeep: Upkeep = Upkeep()

    _known_topics = field_validator("topics")(_topics)

    def kept_ms(self, table: str, facility: str) -> int:
        """How long rows of a facility are kept."""
        for entry in self.facilities:
            found = getattr(entry.tables, table)
            if found is not None and matcher(entry.facility)(facility):
                return int(found)
        return int(getattr(self.tables, table))

    def topic_ms(self, family: str, facility: str | None) -> int | None:
        """Another time than the contract's for a topic; None: the contract's."""
        for entry in self.facilities:
            if facility and family in entry.topics and matcher(entry.facility)(facility):
                return entry.topics[family]
        return self.topics.get(family)

    def bucket_ms(self, bucket: str) -> int | None:
        """How long a bucket keeps points; None: nothing is declared."""
        return next((ms for glob, ms in self.buckets.items() if matcher(glob)(bucket)), None)

    def held(self, facility: str, from_ms: int, to_ms: int, now_ms: int) -> Hold | None:
        """The first hold that forbids to delete something of that facility and time."""
        holds = (hold for hold in self.holds if hold.covers(facility, from_ms, to_ms, now_ms))
        return next(holds, None)

    def held_now(self, facility: str, now_ms: int) -> Hold | None:
        """The first hold on whichever time of that facility."""
        return self.held(facility, -FOREVER_MS, FOREVER_MS, now_ms)


def load_policy(path: Path) -> Policy:
    """The declaration. Raises: FileMistakes: every mistake, each with its line."""
    return read(path, Policy)


def _day_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
