"""Rules bound to one gateway's catalogue: which slots each watches, and with what condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions.base import Condition, View
from udfs.conditions.latch import Readings
from udfs.rules.conditions import NoDataModel
from udfs.rules.model import Rule
from udfs.watch.lanes import LaneState
from udfs.watch.readings import GAP_PERIODS, Group, Round, follow, gap_ms, views


@dataclass(frozen=True, eq=False)
class Watched:
    """A rule and its sensors. Rules with the same sensors share the group."""

    rule: Rule
    group: Group
    condition: Condition


def watch_rules(rules: Sequence[Rule], catalogue: Catalogue) -> list[Watched]:
    """The rules that watch single sensors here; those that match none are left out."""
    groups: dict[bytes, Group] = {}
    watched = []
    for rule in rules:
        if rule.condition is None:
            continue
        slots = rule.sensors.slots(catalogue)
        model = rule.condition.one
        if not len(slots) or (isinstance(model, NoDataModel) and model.of == "gateway"):
            continue
        group = groups.setdefault(slots.tobytes(), Group(slots, len(catalogue)))
        watched.append(Watched(rule, group, model.build(catalogue.period_ms[slots])))
    return watched


def silence_limits(rules: Sequence[Rule], catalogue: Catalogue) -> dict[str, int]:
    """After how many ms of the gateway's silence each rule fires, by the rule's key.

    Never less than a few sampling periods of the fastest sensor: a gateway of slow sensors only is
    not silent between two of its batches.
    """
    limits = {}
    fastest_ms = int(catalogue.period_ms.min(initial=2**31 - 1)) * GAP_PERIODS
    for rule in rules:
        model = rule.condition.one if rule.condition else None
        about = isinstance(model, NoDataModel) and model.of != "sensor"
        if about and len(rule.sensors.slots(catalogue)):
            limits[rule.key] = max(round(model.for_s * 1000), fastest_ms)
    return limits


class Lens:
    """A batch as each rule of one lane sees it; what rules share is made once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._sensors = len(catalogue)
        self._gap_ms = gap_ms(catalogue)

    def look(
        self, batch: Batch, lane: LaneState, watched: Sequence[Watched]
    ) -> list[list[Readings]]:
        """The readings of each rule, in rounds; notes the readings' times in the lane."""
        seen = views(batch, self._sensors)
        followed = {v: follow(last, self._gap_ms, seen[v]) for v, last in lane.last_ms.items()}
        rounds = seen | followed
        shared: dict[tuple[View, Group], list[Readings]] = {}
        for entry in watched:
            key = (entry.condition.view, entry.group)
            if key not in shared:
                shared[key] = _project(entry.group, rounds[entry.condition.view])
        return [shared[entry.condition.view, entry.group] for entry in watched]


def _project(group: Group, rounds: Sequence[Round]) -> list[Readings]:
    projected = (group.project(turn) for turn in rounds)
    return [readings for readings in projected if readings is not None]
