"""What is checked and how much of it is let pass: flink-conf/quality.yaml.

    limits = load_limits(Path("flink-conf/quality.yaml"))
    limits.of("plant-07").readings.duplicate_keys        # None: not judged

A limit is the most that a gateway hour (a gateway day for `ledger`) may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from jobs.common.typed_yaml import read
from udfs.rules.base import Finite, Glob, Strict, mistake
from udfs.rules.globs import matcher

FILE = Path("flink-conf/quality.yaml")
ANY = "*"

Many = Annotated[int, Field(ge=0)] | None
Share = Annotated[float, Field(ge=0, le=1)] | None
Part = TypeVar("Part", bound=Strict)


def _limit(default: float, says: str, fix: str) -> Any:
    """A limit. says: what holds when it is kept. fix: what to do when it is not."""
    return Field(default, description=says, json_schema_extra={"fix": fix})


_WRITER = "a writer of the table is at fault: keep the files, and make the hour anew from Kafka"


class Readings(Strict):
    """Of a gateway hour in table `readings`."""

    duplicate_keys: Many = _limit(
        0, "Each sensor, hour and part is there once.",
        "two compactors worked on the facility: stop one, remove the second file's rows",
    )  # fmt: skip
    repeated_readings: Many = _limit(
        0, "No reading is in two parts.", "hardiot maintain merges the day, which drops repeats"
    )
    malformed_rows: Many = _limit(
        0, "Lists are as long as they should be, and of two ways to say a thing one is used.",
        _WRITER,
    )  # fmt: skip
    unordered_rows: Many = _limit(0, "Times of a row ascend, and are of its hour.", _WRITER)
    unnoted_readings: Many = _limit(
        0, "Readings are of minutes that the row notes in `minutes`.",
        f"a chunk of such a minute would be added a second time; {_WRITER}",
    )  # fmt: skip
    unlike_minutes: Many = _limit(
        0, "All rows of a part note the same `minutes`.",
        f"chunks may be taken as held that are not; {_WRITER}",
    )  # fmt: skip
    waiting_chunks: Many = _limit(
        0, "Chunks of an hour that ended long ago are compacted.",
        "see CompactionBehind and ChunkDamaged: compact_readings is down, or cannot read them",
    )  # fmt: skip


class Kind(Strict):
    """Of a gateway hour's sensors of one kind. low, high: instead of the catalogue's ranges."""

    outside: Share = _limit(
        0.01, "Usable readings are inside the valid range of their sensor.",
        "look at the sensor; if it is right, correct low and high in the catalogue",
    )  # fmt: skip
    unusable: Share = _limit(
        0.05, "Readings are usable: finite, good or with a repaired clock.",
        "look at the sensor, its cable, and its gateway's input",
    )  # fmt: skip
    low: Finite | None = None
    high: Finite | None = None

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float | None, info: ValidationInfo) -> float | None:
        low = info.data.get("low")
        if high is not None and low is not None and high <= low:
            raise mistake(f"high {high:g} is not above low {low:g}", "swap them, or leave one out")
        return high


class Rollups(Strict):
    """Of a gateway hour in table `rollups`."""

    duplicate_keys: Many = _limit(
        0, "Each sensor, minute and source is there once.",
        "two compactors worked on the facility: stop one, and restate the hour",
    )  # fmt: skip
    low_revisions: Many = _limit(0, "Revisions are 1 or higher.", _WRITER)
    unlike_complete: Many = _limit(
        0, "A minute is complete exactly when nothing of it is missing.", _WRITER
    )
    impossible_sums: Many = _limit(
        0, "Sums agree: min <= first, last, mean <= max; nothing of no reading.",
        "restate the hour from its readings: hardiot restate",
    )  # fmt: skip
    different_counts: Many = _limit(
        0, "A sensor minute counts the readings that table `readings` has of it.",
        "restate the hour from its readings: hardiot restate",
    )  # fmt: skip
    unaudited_minutes: Many = _limit(
        0, "A minute of a revision above 1 has its reason in table `restatements`.",
        "somebody changed rows without hardiot restate; or a late batch had no reading in it",
    )  # fmt: skip
    different_audits: Many = _limit(
        0, "A row is as its newest restatement says.",
        "a restatement was broken off: let compact_readings, or hardiot restate, do it again",
    )  # fmt: skip
    incomplete_share: Share = _limit(
        0.05, "Minutes are complete.", "hardiot ledger names the batches that are missing"
    )


class Ledger(Strict):
    """Of a gateway day, against the gateway's own words in table `ledger`."""

    unheard: Many = _limit(
        0, "A gateway that sent readings has spoken to the ledger.",
        "run archive_events, which fills table ledger; without it nothing proves completeness",
    )  # fmt: skip
    different_ranges: Many = _limit(
        0, "Between ranges that are proven no reading is missing, changed or added.",
        "hardiot ledger, runbook DataLoss; Kafka has the batches for 48 h",
    )  # fmt: skip
    unproven_share: Share = _limit(
        0.1, "What the gateway told is in the table, by fingerprint.",
        "see docs/quality.md, what cannot be proven; if the hours are there, look at their counts",
    )  # fmt: skip
    undeclared_minutes: Many = _limit(
        0, "An incomplete minute is one of which the gateway declared a loss.",
        "hardiot ledger names the batches; runbook UndeclaredGaps",
    )  # fmt: skip
    unaccounted_batches: Many = _limit(
        0, "What Kafka acknowledged was counted.", "runbook DataLoss, at once"
    )


SUITES: Mapping[str, type[Strict]] = {
    "readings": Readings, "kinds": Kind, "rollups": Rollups, "ledger": Ledger,
}  # fmt: skip


class Some(Strict):
    """Other limits for some facilities; what is not named is as for all."""

    facility: Glob
    why: Annotated[str, Field(min_length=1)]
    readings: Readings = Readings()
    kinds: dict[str, Kind] = Field(default_factory=dict)
    rollups: Rollups = Rollups()
    ledger: Ledger = Ledger()


class Limits(Strict):
    """The whole file. severity: of alerts. settled_h: how long after its end an hour is judged."""

    severity: Literal["info", "warning", "critical"] = "warning"
    settled_h: Annotated[int, Field(ge=1, le=48)] = 2
    readings: Readings = Readings()
    kinds: dict[str, Kind] = Field(default_factory=dict)
    rollups: Rollups = Rollups()
    ledger: Ledger = Ledger()
    facilities: list[Some] = Field(default_factory=list)

    def some(self, facility: str) -> Some | None:
        """The first entry of its own that a facility has."""
        return next((s for s in self.facilities if matcher(s.facility)(facility)), None)

    def of(self, facility: str) -> Limits:
        """The limits of one facility; `facilities` is empty then."""
        some = self.some(facility)
        if some is None:
            return self.model_copy(update={"facilities": []})
        kinds = dict(self.kinds)
        for name, kind in some.kinds.items():
            kinds[name] = _over(self.kind(name), kind)
        parts = {name: _over(getattr(self, name), getattr(some, name))
                 for name in ("readings", "rollups", "ledger")}  # fmt: skip
        return self.model_copy(update={"facilities": [], "kinds": kinds, **parts})

    def kind(self, name: str) -> Kind:
        """The limits of a kind: its own, over those of `*`."""
        base = self.kinds.get(ANY, Kind())
        return _over(base, self.kinds[name]) if name in self.kinds else base


def _over(base: Part, given: Part) -> Part:
    """What was written in `given`, and the rest of `base`."""
    return base.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def meaning(suite: str, check: str) -> tuple[str, str]:
    """What holds when a check passes, and what to do when it fails."""
    field = SUITES[suite].model_fields[check]
    return field.description or "", field.json_schema_extra["fix"]  # type: ignore


def checks(suite: str) -> list[str]:
    """The names of a suite's checks; each is a column of its frame."""
    fields = SUITES[suite].model_fields.items()
    return [name for name, field in fields if field.json_schema_extra]


def load_limits(path: Path) -> Limits:
    """The suites. Raises: FileMistakes: every mistake, each with its line."""
    return read(path, Limits)
