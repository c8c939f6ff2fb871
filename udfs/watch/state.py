"""The state of a watch as versioned bytes, and its way into other rules and larger catalogues.

Version 1: `head` as JSON (lanes, silence, rules and their sensors, orphans), and one array for each
lane, rule and name, as 0/temperature-high@1/since. The sensor is the last axis of all arrays, so a
catalogue that grew (slots never move) only appends to them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.alerts import AlertEvent, from_json, to_json
from udfs.conditions import latch
from udfs.conditions.latch import Found, Slots
from udfs.rules.model import Rule
from udfs.state import BadState, pack, unpack
from udfs.watch.lanes import Lanes
from udfs.watch.silence import Silence, Silent
from udfs.watch.telling import Occasion, Teller
from udfs.watch.watched import Watched

_KIND, _VERSION = "watch", 1
_LANE = ("late", "begin", "begin_ms", "position", "time_ms", "until", "until_ms")

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Kept:
    """All that a watch remembers. orphans: alerts to resolve, of rules that are gone."""

    lanes: Lanes
    silence: Silence
    orphans: list[AlertEvent] = field(default_factory=list)


def dump(kept: Kept, rules: Mapping[str, Rule], watched: Sequence[Watched], sensors: int) -> bytes:
    """The state as bytes. rules: by key. sensors: of the catalogue."""
    lanes = kept.lanes.all()
    head = {
        "sensors": sensors,
        "live": kept.lanes.live is not None,
        "lanes": [{name: getattr(lane, name) for name in _LANE} for lane in lanes],
        "rules": {
            entry.rule.key: {
                "condition": type(entry.condition).__name__,
                "unit": entry.condition.unit,
                "slots": len(entry.group.slots),
                "sum": _sum(entry.group.slots),
            }
            for entry in watched
        },
        "named": {
            key: {"name": r.name, "version": r.version, "severity": r.severity}
            for key, r in rules.items()
        },
        "silence": [kept.silence.heard_ms, kept.silence.newest_ms, kept.silence.onset_ms],
        "orphans": [to_json(event).decode() for event in kept.orphans],
    }
    fields: dict[str, Any] = {"head": json.dumps(head)}
    for number, lane in enumerate(lanes):
        fields |= {f"{number}//{view}": array for view, array in lane.last_ms.items()}
        for entry, state in zip(watched, lane.states, strict=True):
            fields |= {f"{number}/{entry.rule.key}/{name}": a for name, a in state.items()}
            fires = entry.group.slots[latch.firing(state)].astype(np.uint32)
            fields[f"{number}/{entry.rule.key}/"] = fires
    return pack(_KIND, _VERSION, fields)


def _sum(slots: Slots) -> int:
    return zlib.crc32(slots.astype(np.uint32).tobytes())


@dataclass(frozen=True, slots=True)
class _PastRule:
    """What is left of a rule that is gone."""

    name: str
    version: int
    severity: str
    text: str = ""


def load(data: bytes, kept: Kept, watched: Sequence[Watched], teller: Teller) -> bool:
    """Put dumped state into a fresh watch.

    Returns: whether the rules changed: one starts fresh, or alerts of one became orphans.
    Raises: BadState: other bytes, state of a later version, or of a larger catalogue.
    """
    version, fields = unpack(data, _KIND)
    if version > _VERSION:
        raise BadState(f"state version {version}; this code knows up to {_VERSION}")
    head = json.loads(fields["head"])
    if head["sensors"] > len(teller.catalogue):
        raise BadState(
            f"state of {head['sensors']} sensors, the catalogue has {len(teller.catalogue)}; "
            "give the catalogue of its time or a later one"
        )
    going_on = [entry for entry in watched if _fits(entry, head)]
    _load_lanes(head, fields, kept.lanes, watched, going_on)
    kept.silence.heard_ms, kept.silence.newest_ms, onsets = head["silence"]
    kept.silence.onset_ms = {k: t for k, t in onsets.items() if k in kept.silence.for_ms}
    gone = set(head["rules"]) - {entry.rule.key for entry in going_on}
    kept.orphans = [from_json(text.encode()) for text in head["orphans"]]
    kept.orphans += _sensor_orphans(head, fields, gone, teller)
    kept.orphans += _gateway_orphans(head, set(onsets) - set(kept.silence.onset_ms), teller)
    return len(going_on) < len(watched) or bool(kept.orphans)


def _fits(entry: Watched, head: Mapping[str, Any]) -> bool:
    """Whether the rule was there, with the same condition and the same (old) sensors."""
    old = head["rules"].get(entry.rule.key)
    if old is None or old["condition"] != type(entry.condition).__name__:
        return False
    slots = entry.group.slots[entry.group.slots < head["sensors"]]
    return bool(old["slots"] == len(slots) and old["sum"] == _sum(slots))


def _load_lanes(
    head: Mapping[str, Any],
    fields: Mapping[str, Array],
    lanes: Lanes,
    watched: Sequence[Watched],
    going_on: Sequence[Watched],
) -> None:
    loaded = []
    for number, was in enumerate(head["lanes"]):
        begin, position = tuple(was["begin"]), tuple(was["position"])
        lane = lanes.make(was["late"], begin, was["begin_ms"])
        lane.position, lane.time_ms = position, was["time_ms"]
        lane.until = tuple(was["until"]) if was["until"] else None
        lane.until_ms = was["until_ms"]
        for view, last_ms in lane.last_ms.items():
            if f"{number}//{view}" in fields:
                _fill(last_ms, fields[f"{number}//{view}"])
        for entry, state in zip(watched, lane.states, strict=True):
            for name, array in state.items() if entry in going_on else ():
                _fill(array, fields[f"{number}/{entry.rule.key}/{name}"])
        loaded.append(lane)
    lanes.live = loaded.pop(0) if head["live"] else None
    lanes.backlogs = loaded


def _fill(array: Array, old: Array) -> None:
    """Put what was before in front; sensors that came since keep what they start with."""
    array[..., : old.shape[-1]] = old


def _sensor_orphans(
    head: Mapping[str, Any], fields: Mapping[str, Array], gone: set[str], teller: Teller
) -> Iterator[AlertEvent]:
    for key in sorted(gone):
        past, unit = _PastRule(**head["named"][key]), head["rules"][key]["unit"]
        for number, lane in enumerate(head["lanes"]):
            phase, since = fields[f"{number}/{key}/phase"], fields[f"{number}/{key}/since"]
            onsets = since[phase == latch.Phase.FIRING]
            for slot, onset_ms in zip(fields[f"{number}/{key}/"], onsets, strict=True):
                found = Found(int(slot), False, int(onset_ms), 0, np.nan, np.nan)
                yield teller.sensor(past, unit, int(slot), found, Occasion(0, lane["late"]))


def _gateway_orphans(
    head: Mapping[str, Any], gone: set[str], teller: Teller
) -> Iterator[AlertEvent]:
    for key in sorted(gone):
        onset_ms = head["silence"][2][key]
        silent = Silent(key, False, onset_ms, 0, 0.0, 0.0)
        yield teller.gateway(_PastRule(**head["named"][key]), silent, Occasion(0))
