"""Rules for benchmarks: conditions of every kind over the plant that the simulator makes.

    text = rule_set(100, matching=100)         # a file of rules; all match sensors of the plant
    text = rule_set(10_000, matching=100)      # the others are about plants elsewhere
    faults = faults_of(seconds=300)            # what goes wrong meanwhile

Limits lie beyond what a healthy sensor of the template reaches, so what fires was scripted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from edge.simulator.faults import Fault
from edge.simulator.settings import PLANT
from edge.simulator.template import SensorSpec, read_template

Yaml = dict[str, Any]

_NOISE_REACH = 6  # standard deviations, one more than the simulator's noise ever has
_TEXT = "{sensor}: {rule}, {value} {unit} against {limit}"
_TEXT_OF_PATTERN = "{asset}: {rule}, {count} events"
_MATCHING = 100
_EVERY_S = 20  # another machine fails


class Kind(NamedTuple):
    """One type of sensor of the plant, as all pumps' bearing temperatures.

    first: name of one of them. sensors: a rule's choice of them. alike: of all that measure the
    same at whatever machine. reach: how far a healthy one is from `base` at most.
    """

    first: str
    sensors: Yaml
    alike: Yaml
    base: float
    reach: float
    noise: float

    @classmethod
    def of(cls, asset: str, spec: SensorSpec) -> Kind:
        """From the plant's template."""
        reach = spec.spread + spec.daily + spec.drift + _NOISE_REACH * spec.noise
        sensors = {"asset": f"{asset}-*", "name": f"*.{spec.name}"}
        alike = {"kind": spec.kind}
        first = f"{asset}-001.{spec.name}"
        return cls(first, sensors, alike, spec.base, round(reach + spec.resolution, 4), spec.noise)

    @property
    def high(self) -> float:
        """A limit that no healthy one passes."""
        return round(self.base + self.reach, 4)

    @property
    def low(self) -> float:
        """The limit at the other end."""
        return round(self.base - self.reach, 4)


def rule_set(count: int, matching: int, template: Path = PLANT) -> str:
    """A file of `count` rules, of which the first `matching` choose sensors of the plant."""
    kinds = _kinds(template)
    lines = ["rules:"]
    for number in range(count):
        # at another place in the list of sensors with each turn, so that all kinds meet all rules
        kind = kinds[(number + number // len(_RECIPES)) % len(kinds)]
        name, recipe = _RECIPES[number % len(_RECIPES)]
        rule = {"name": f"{name}-{number:05d}", **recipe(kind)}
        if number >= matching:
            rule["sensors"] = rule.get("sensors", {}) | _elsewhere(number)
        # JSON is YAML, and written in a hundredth of the time
        text = _TEXT_OF_PATTERN if "pattern" in rule else _TEXT
        lines.append("- " + json.dumps(rule | {"severity": "warning", "text": text}))
    return "\n".join(lines) + "\n"


def matching_of(count: int) -> int:
    """How many of so many rules choose sensors of the plant: 100, as a large rulebook of a company
    has little to say about one gateway."""
    return min(count, _MATCHING)


def faults_of(seconds: float, template: Path = PLANT) -> tuple[Fault, ...]:
    """What fails at every facility, in ways that conditions and patterns find.

    Every twenty seconds a pump's bearing gets hot and then the pump vibrates; and of three types of
    sensors the first one shows too much, too little, and nothing or always the same. After eleven
    minutes all types had their turn in each way.
    """
    kinds = _kinds(template)
    turns = range(int(seconds) // _EVERY_S)
    return tuple(fault for turn in turns for fault in _failing(turn, kinds))


def _kinds(template: Path) -> list[Kind]:
    assets = read_template(template).assets
    return [Kind.of(name, spec) for name, asset in assets.items() for spec in asset.sensors]


def _elsewhere(number: int) -> Yaml:
    """A choice of sensors that this plant has not, each in a way of its own."""
    ways: tuple[Yaml, ...] = (
        {"facility": f"site-{number:05d}"},
        {"asset": f"press-{number:05d}"},
        {"name": f"line-{number:05d}.*"},
        {"tag": f"area-{number:05d}"},
    )
    return ways[number % len(ways)]


def _failing(turn: int, kinds: list[Kind]) -> Iterator[Fault]:
    at_s, pump = turn * _EVERY_S, turn % 6 + 1
    up, down, off = (kinds[(turn + len(kinds) * part // 3) % len(kinds)] for part in range(3))
    step: Yaml = {"kind": "step", "for_s": 12.0}
    yield Fault(sensors=f"pump-{pump:03d}.bearing-temperature", from_s=at_s, size=30, **step)
    yield Fault(sensors=f"pump-{pump:03d}.vibration-*", from_s=at_s + 6, size=8, **step)
    yield Fault(sensors=up.first, from_s=at_s, size=3 * up.reach, **step)
    yield Fault(sensors=down.first, from_s=at_s, size=-3 * down.reach, **step)
    kind: Literal["dropout", "stuck"] = "dropout" if turn % 2 else "stuck"
    yield Fault(kind=kind, sensors=off.first, from_s=at_s, for_s=40.0)


# --- one rule of each kind ---------------------------------------------------------------------


def _of(kind: Kind, name: str, **condition: Any) -> Yaml:
    return {"sensors": kind.sensors, "condition": {name: condition}}


def _alike(kind: Kind, name: str, **condition: Any) -> Yaml:
    """What can be said of all temperatures, all pressures, ..."""
    return {"sensors": kind.alike, "condition": {name: condition}}


def _signal(kind: Kind) -> Yaml:
    """Arithmetic over two sensors of a machine."""
    pump = "pump" in kind.first
    of = {"inlet": "*.suction-pressure", "outlet": "*.discharge-pressure"}
    value, unit = ("outlet - inlet", "bar") if pump else ("outlet / inlet", "")
    limit = {"below": 8, "clear_above": 9} if pump else {"above": 20, "clear_below": 15}
    return {
        "sensors": {"asset": "pump-*" if pump else "*"},
        "signal": {"of": of, "value": value, "unit": unit},
        "condition": {"threshold": limit | {"for_s": 3}},
    }


def _shift(kind: Kind) -> Yaml:
    when = {"zone": "Europe/Berlin", "days": ["mon-fri"], "from": "06:00", "to": "22:00"}
    return _of(kind, "threshold", above=kind.high) | {"when": when}


def _pattern(sequence: list[Any], **more: Any) -> Callable[[Kind], Yaml]:
    """A pattern over what happens at a pump."""
    hot = {
        "sensors": {"name": "*.bearing-temperature"},
        "condition": {"threshold": {"above": 80, "clear_below": 76, "for_s": 3}},
    }
    shaking = {
        "sensors": {"kind": "vibration"},
        "condition": {"threshold": {"above": 6, "clear_below": 5, "for_s": 2}},
    }
    events = {"hot": hot, "cooled": hot | {"on": "end"}, "shaking": shaking}
    made = {
        "sensors": {"asset": "pump-*"},
        "events": events,
        "pattern": {"sequence": sequence, "within_s": 60, **more},
    }
    return lambda kind: made


_RECIPES: tuple[tuple[str, Callable[[Kind], Yaml]], ...] = (
    ("threshold", lambda k: _of(k, "threshold", above=k.high)),
    ("duration", lambda k: _of(k, "threshold", above=k.high, for_s=5)),
    ("hysteresis", lambda k: _of(k, "threshold", below=k.low, clear_above=k.base, for_s=2)),
    ("n-of-m", lambda k: _of(k, "threshold", above=k.high, times={"at_least": 5, "of": 10})),
    ("band", lambda k: _of(k, "band", low=k.low, high=k.high, clear_margin=k.reach / 4)),
    ("rate", lambda k: _of(k, "rate_of_change", per_s=k.reach, window_s=5)),
    ("stuck", lambda k: _alike(k, "stuck", for_s=30, for_periods=30)),
    ("no-data", lambda k: _alike(k, "no_data", for_s=15, of="sensor")),
    ("ewma", lambda k: _alike(k, "ewma", z=8, half_life_s=600, min_sigma=max(k.noise, 0.01))),
    ("baseline", lambda k: _of(k, "baseline", by=k.reach, half_life_s=600)),
    ("quality", lambda k: _alike(k, "quality", **{"is": ["bad", "uncertain"]})),
    ("signal", _signal),
    ("shift", _shift),
    ("sequence", _pattern(["hot", {"not": "cooled"}, "shaking"])),
    ("repeated", _pattern([{"event": "shaking", "times": {"at_least": 2}}, "cooled"])),
    ("absence", _pattern(["hot", {"not": "shaking"}])),
    ("any-order", _pattern([{"all": ["hot", "shaking"]}])),
    ("either", _pattern([{"any": ["hot", "shaking"]}, "cooled"], skip="to_next")),
)
