"""The state of a watch as versioned bytes.

Version 2: `head` as JSON (lanes, silence, what is sparse), `description` of the plan (see
`description.py`), and for each lane the arrays of banks, views and signals, as 0/bank/3/since. The
entry (or sensor) is the last axis of all arrays. A unit's entries are a slice; a catalogue that
grew (slots and assets never move) only appends to it.

Version 1 had an array for each lane, rule and name, as 0/temperature-high@1/since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from udfs.alerts import AlertEvent, to_json
from udfs.conditions import latch
from udfs.state import BadState, pack, unpack
from udfs.watch.description import Array, Description
from udfs.watch.lanes import Lanes, LaneState
from udfs.watch.plan import Plan
from udfs.watch.silence import Silence

_KIND, _VERSION = "watch", 2
_LANE = ("late", "begin", "begin_ms", "position", "time_ms", "until", "until_ms")


@dataclass(slots=True)
class Kept:
    """All that a watch remembers. orphans: alerts to resolve, of rules that are gone."""

    lanes: Lanes
    silence: Silence
    orphans: list[AlertEvent] = field(default_factory=list)


def dump(kept: Kept, plan: Plan, description: Description) -> bytes:
    """The state as bytes. description: of the plan."""
    lanes = kept.lanes.all()
    head = {
        "live": kept.lanes.live is not None,
        "lanes": [_lane_head(lane) for lane in lanes],
        "silence": [kept.silence.heard_ms, kept.silence.newest_ms, kept.silence.onset_ms],
        "orphans": [to_json(event).decode() for event in kept.orphans],
    }
    fields = {"head": json.dumps(head), "description": description.text, **description.columns}
    return pack(_KIND, _VERSION, fields | _arrays(lanes, plan))


def _lane_head(lane: LaneState) -> dict[str, Any]:
    return {
        **{name: getattr(lane, name) for name in _LANE},
        "matchers": {key: matcher.to_plain() for key, matcher in lane.matchers.items()},
        "life": lane.life.to_plain(),
        "horizon": lane.horizon.to_fields(),
    }


def _arrays(lanes: Sequence[LaneState], plan: Plan) -> dict[str, Array]:
    fields: dict[str, Array] = {}
    for number, lane in enumerate(lanes):
        fields |= {f"{number}/view/{view}": array for view, array in lane.last_ms.items()}
        for place, signal in enumerate(lane.signals):
            fields |= {f"{number}/signal/{place}/{n}": a for n, a in signal.inputs.items()}
            fields[f"{number}/signal/{place}//last_ms"] = signal.last_ms
        for place, (bank, state) in enumerate(zip(plan.banks, lane.states, strict=True)):
            fields |= {f"{number}/bank/{place}/{name}": a for name, a in state.items()}
            fires = bank.subjects[latch.firing(state)]
            fields[f"{number}/bank/{place}//subject"] = fires.astype(np.uint32)
    return fields


def read(data: bytes, plan: Plan) -> tuple[int, dict[str, Any], Mapping[str, Any]]:
    """Version, head and arrays of dumped state.

    Raises: BadState: other bytes, state of a later version, or of a larger catalogue.
    """
    version, fields = unpack(data, _KIND)
    if version > _VERSION:
        raise BadState(f"state version {version}; this code knows up to {_VERSION}")
    head = json.loads(fields["head"]) | json.loads(fields.get("description", "{}"))
    if head["sensors"] > len(plan.catalogue):
        raise BadState(
            f"state of {head['sensors']} sensors, the catalogue has {len(plan.catalogue)}; "
            "give the catalogue of its time or a later one"
        )
    return version, head, fields
