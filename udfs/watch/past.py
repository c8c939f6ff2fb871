"""Dumped state unit by unit, whichever version it was written in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from udfs.conditions.latch import Phase
from udfs.watch.description import Array


@dataclass(frozen=True)
class PastUnit:
    """A unit as it was. kind: class of its condition. entries, sum: how many, and the checksum of
    what they watched. bank, first: where its entries lie.
    """

    key: str
    kind: str
    entries: int
    sum: int
    bank: str
    first: int

    @property
    def rule(self) -> str:
        """Key of its rule."""
        return self.key.partition("/")[0]

    @property
    def event(self) -> str:
        """Its name in a pattern, "" without one."""
        return self.key.partition("/")[2]


class Past:
    """What was dumped.

    named: name, version, severity of each rule by key. lively: (rule, subject) of alerts that were
    kept in the life of alerts.
    """

    def __init__(self, version: int, head: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        self.head = head
        self._fields = fields
        self.units = {unit.key: unit for unit in (_old if version == 1 else _new)(head, fields)}
        self.named: dict[str, tuple[str, int, str]] = {
            key: (name["name"], name["version"], name["severity"]) if version == 1 else tuple(name)
            for key, name in head["named"].items()
        }
        self.lively = {
            (rule, subject)
            for lane in head["lanes"]
            for rule, subject, *_ in lane.get("life", {"alerts": ()})["alerts"]
        }
        self._path = "{}/{}" if version == 1 else "{}/bank/{}"
        self._subjects = "" if version == 1 else "/subject"
        self._view = "{}//{}" if version == 1 else "{}/view/{}"

    def about(self, rule: str) -> tuple[bool, str, str]:
        """As `udfs.watch.plan.Plan.about`."""
        if "about" in self.head:
            of_asset, unit, own = self.head["about"][rule]
            return bool(of_asset), unit, own
        return False, self.head["rules"][rule]["unit"], ""

    def array(self, lane: int, unit: PastUnit, name: str) -> Array | None:
        """One of the unit's arrays; None if it had none of that name."""
        whole = self._fields.get(f"{self._path.format(lane, unit.bank)}/{name}")
        return None if whole is None else whole[..., unit.first : unit.first + unit.entries]

    def view(self, lane: int, name: str) -> Array | None:
        """Times of the newest readings that a view saw."""
        return self._fields.get(self._view.format(lane, name))

    def signal(self, lane: int, key: str) -> Mapping[str, Array]:
        """Arrays of a signal by name, `/last_ms` among them; empty if it was not there."""
        if key not in self.head.get("signals", ()):
            return {}
        prefix = f"{lane}/signal/{self.head['signals'].index(key)}/"
        return {
            name.removeprefix(prefix): array
            for name, array in self._fields.items()
            if name.startswith(prefix)
        }

    def firing(self, lane: int, unit: PastUnit) -> Iterator[tuple[int, int]]:
        """Subject and onset of each entry that fires."""
        phase, since = self.array(lane, unit, "phase"), self.array(lane, unit, "since")
        if phase is None or since is None:
            return
        whole = self._fields[f"{self._path.format(lane, unit.bank)}/phase"]
        # the subjects of a bank are those of its firing entries, in order
        before = int((whole[: unit.first] == Phase.FIRING).sum())
        fires = phase == Phase.FIRING
        subjects = self._fields[f"{self._path.format(lane, unit.bank)}/{self._subjects}"]
        mine = subjects[before : before + int(fires.sum())]
        yield from zip(map(int, mine), map(int, since[fires]), strict=True)


def _old(head: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[PastUnit]:
    for key, rule in head["rules"].items():
        yield PastUnit(key, rule["condition"], rule["slots"], rule["sum"], key, 0)


def _new(head: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[PastUnit]:
    columns = (fields[name].tolist() for name in ("bank", "first", "entries", "sum"))
    for key, bank, first, entries, total in zip(head["units"], *columns, strict=True):
        yield PastUnit(key, head["kinds"][bank], entries, total, str(bank), first)
