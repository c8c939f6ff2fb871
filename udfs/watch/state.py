"""The state of a watch as versioned bytes, and its way into other rules and larger catalogues.

Version 2: `head` as JSON (lanes, silence, keys of units and rules, what is sparse), columns about
the units (bank, first entry, entries, checksum of what they watch), and for each lane the arrays of
banks, views and signals, as 0/bank/3/since. The entry (or sensor) is the last axis of all arrays. A
unit's entries are a slice; a catalogue that grew (slots and assets never move) only appends to it.

Version 1 had an array for each lane, rule and name, as 0/temperature-high@1/since.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.alerts import AlertEvent, to_json
from udfs.conditions import latch
from udfs.conditions.latch import Slots
from udfs.state import BadState, pack, unpack
from udfs.watch.lanes import Lanes, LaneState
from udfs.watch.plan import Plan
from udfs.watch.signals import Signal
from udfs.watch.silence import Silence
from udfs.watch.units import Unit

_KIND, _VERSION = "watch", 2
_LANE = ("late", "begin", "begin_ms", "position", "time_ms", "until", "until_ms")

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Kept:
    """All that a watch remembers. orphans: alerts to resolve, of rules that are gone."""

    lanes: Lanes
    silence: Silence
    orphans: list[AlertEvent] = field(default_factory=list)


def dump(kept: Kept, plan: Plan) -> bytes:
    """The state as bytes."""
    lanes = kept.lanes.all()
    head = {
        "sensors": len(plan.catalogue),
        "assets": len(plan.assets.name),
        "live": kept.lanes.live is not None,
        "lanes": [_lane_head(lane) for lane in lanes],
        "units": [unit.key for unit in plan.units],
        "unit_texts": [unit.condition.unit for unit in plan.units],
        "kinds": [type(bank.condition).__name__ for bank in plan.banks],
        "signals": [signal_text(signal) for signal in plan.lens.signals],
        "named": {r.key: [r.name, r.version, r.severity] for r in plan.rules if plan.knows(r)},
        "about": {key: list(about) for key, about in plan.about.items()},
        "silence": [kept.silence.heard_ms, kept.silence.newest_ms, kept.silence.onset_ms],
        "orphans": [to_json(event).decode() for event in kept.orphans],
    }
    return pack(_KIND, _VERSION, {"head": json.dumps(head), **_index(plan), **_arrays(lanes, plan)})


def _lane_head(lane: LaneState) -> dict[str, Any]:
    return {
        **{name: getattr(lane, name) for name in _LANE},
        "matchers": {key: matcher.to_plain() for key, matcher in lane.matchers.items()},
        "life": lane.life.to_plain(),
        "horizon": lane.horizon.to_fields(),
    }


def _index(plan: Plan) -> dict[str, Array]:
    """Where the entries of each unit lie, shape (units,)."""
    bank_of, first = places(plan)
    return {
        "bank": bank_of,
        "first": first,
        "entries": np.array([len(unit.slots) for unit in plan.units], np.int64),
        "sum": np.array([unit_sum(plan, unit) for unit in plan.units], np.int64),
    }


def signal_text(signal: Signal) -> str:
    """What tells a signal from others in dumped state."""
    return f"{zlib.crc32(repr(signal.key).encode()):08x}"


def places(plan: Plan) -> tuple[Array, Array]:
    """Bank and first entry of each unit, int64, shape (units,)."""
    bank_of = np.zeros(len(plan.units), np.int64)
    first = np.zeros(len(plan.units), np.int64)
    for number, bank in enumerate(plan.banks):
        mine = [unit.number for unit in bank.units]
        bank_of[mine], first[mine] = number, bank.bounds[:-1]
    return bank_of, first


def unit_sum(plan: Plan, unit: Unit, entries: int | None = None) -> int:
    """Checksum of what a unit watches, of its first entries only if so many are given."""
    subjects = subjects_of(plan, unit)[:entries]
    return zlib.crc32(subjects.astype(np.uint32).tobytes())


def subjects_of(plan: Plan, unit: Unit) -> Slots:
    """Slots of its sensors, or numbers of its assets."""
    if unit.signal is None:
        return unit.slots
    return plan.assets.numbers(unit.signal.assets)[unit.slots]


def _arrays(lanes: Sequence[LaneState], plan: Plan) -> dict[str, Array]:
    fields: dict[str, Array] = {}
    for number, lane in enumerate(lanes):
        fields |= {f"{number}/view/{view}": array for view, array in lane.last_ms.items()}
        for place, signal in enumerate(lane.signals):
            fields |= {f"{number}/signal/{place}/{n}": a for n, a in signal.inputs.items()}
            fields[f"{number}/signal/{place}//last_ms"] = signal.last_ms
        for place, (bank, state) in enumerate(zip(plan.banks, lane.states, strict=True)):
            fields |= {f"{number}/bank/{place}/{name}": a for name, a in state.items()}
            fires = latch.firing(state)
            fields[f"{number}/bank/{place}//firing"] = fires.astype(np.int64)
            fields[f"{number}/bank/{place}//subject"] = bank.subjects[fires].astype(np.uint32)
    return fields


def read(data: bytes, plan: Plan) -> tuple[int, dict[str, Any], Mapping[str, Any]]:
    """Version, head and arrays of dumped state.

    Raises: BadState: other bytes, state of a later version, or of a larger catalogue.
    """
    version, fields = unpack(data, _KIND)
    if version > _VERSION:
        raise BadState(f"state version {version}; this code knows up to {_VERSION}")
    head = json.loads(fields["head"])
    if head["sensors"] > len(plan.catalogue):
        raise BadState(
            f"state of {head['sensors']} sensors, the catalogue has {len(plan.catalogue)}; "
            "give the catalogue of its time or a later one"
        )
    return version, head, fields
