"""The step of detect_anomalies with the shipped rules; interruptions leave no trace."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.plant import T0, catalogue
from tests.udfs.steps import Call, assert_deterministic, call, refusal_of
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.detect_step import SENT_MS, DetectStep
from udfs.ledger import Word
from udfs.records import Output
from udfs.rules.rulebook import parse_all
from udfs.state import BadState, pack, unpack

FOLDER = Path(__file__).parents[2] / "flink-conf" / "rules"
RULES = parse_all({path.name: path.read_text() for path in sorted(FOLDER.glob("*.yaml"))})
NAMES = (
    "p1.bearing-temperature",
    "p1.winding-temperature",
    "p1.vibration",
    "p1.pressure",
    "p1.flow",
)
KINDS = ("temperature", "temperature", "vibration", "pressure", "flow")
USUAL = np.array([60.0, 80.0, 2.0, 5.0, 40.0])


def published(version: int) -> Catalogue:
    """Version 1 has five sensors; each later version has one more."""
    more = version - 1
    plain = catalogue([*KINDS, *["flow"] * more], version=version)
    return replace(plain, name=(*NAMES, *(f"p{i + 2}.flow" for i in range(more))))


@dataclass
class Shelf:
    """Catalogues up to a version."""

    newest: int = 3

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        mine = (facility, gateway) == ("plant-1", "gw-1")
        return published(version) if mine and version <= self.newest else None

    def knows(self, facility: str, gateway: str) -> bool:
        return self.find(facility, gateway, 1) is not None


def new() -> DetectStep:
    return DetectStep("plant-1", "gw-1", RULES, Shelf())


def restore(data: bytes) -> DetectStep:
    return DetectStep.restore(data, RULES, Shelf())


def batch(sequence: int, bearing: float | None = None, **more: Any) -> Batch:
    """One tick of the plant; its signals wander a little, so that none is stuck."""
    version = more.pop("catalogue", 1)
    value = np.append(USUAL, [40.0] * (version - 1)) + 0.01 * (sequence % 7)
    value[0] = bearing or value[0]
    value = more.pop("value", value)
    return Batch(
        "plant-1", "gw-1", more.pop("epoch", 1), sequence, T0 + sequence * 1000, value,
        sent_ms=T0 + sequence * 1000 + 60, catalogue=version, **more,
    )  # fmt: skip


def feed(step: DetectStep, *batches: Batch) -> list[Output]:
    return [out for each in batches for out in call(step, each.time_ms + 100, each)]


def told(outputs: list[Output]) -> list[tuple[str, str, str]]:
    events = [json.loads(output.value) for output in outputs]
    return [(event["rule"], event["subject"], event["status"]) for event in events]


def test_an_alert_is_raised_and_resolved() -> None:
    step = new()
    assert feed(step, batch(0), batch(1)) == []
    hot = feed(step, batch(2, bearing=97.0, traceparent="00-a-b-01"))
    assert told(hot) == [
        ("bearing-temperature-critical", "p1.bearing-temperature", "firing"),
    ]
    assert hot[0].topic == "alerts" and hot[0].key == json.loads(hot[0].value)["id"]
    assert hot[0].headers[SENT_MS] == str(T0 + 2060)
    assert hot[0].headers["traceparent"] == "00-a-b-01"
    assert hot[0].headers["ce_type"] == "io.hardiot.alert.firing.v1"
    cool = feed(step, batch(3))
    assert told(cool) == [("bearing-temperature-critical", "p1.bearing-temperature", "resolved")]
    assert cool[0].key == hot[0].key
    assert step.tally == {"raised": 1, "resolved": 1} and step.event_time_ms() == T0 + 3000


def test_a_duplicate_is_judged_once() -> None:
    step = new()
    assert len(feed(step, batch(0), batch(1, bearing=97.0))) == 1
    assert feed(step, batch(1, bearing=60.0), batch(0)) == []
    assert step.tally == {"raised": 1, "duplicates": 2}


def test_words_and_refusals_change_nothing() -> None:
    step = new()
    feed(step, batch(0), batch(5))
    before = step.snapshot()
    assert call(step, T0, Word("plant-1", "gw-1", 1, 9, 5, lost=((1, 4),))) == []
    assert call(step, T0, refusal_of()) == []
    assert step.snapshot() == before and not step.tally


def test_silence_is_told_by_the_timer() -> None:
    step = new()
    assert step.wake_at() is None and step.on_timer(T0) == []
    feed(step, batch(0))
    due = step.wake_at()
    assert due == T0 + 100 + 15_000 and step.on_timer(due - 1) == []
    silent = step.on_timer(due)
    assert told(silent) == [("gateway-silent", "gateway", "firing")]
    assert SENT_MS not in silent[0].headers  # no batch made it
    assert step.on_timer(due + 60_000) == [] and step.wake_at() is None
    back = feed(step, batch(40))
    assert ("gateway-silent", "gateway", "resolved") in told(back)


def test_a_newer_catalogue_adds_its_sensors_and_keeps_what_was_learned() -> None:
    step = new()
    feed(step, batch(0), batch(1, bearing=97.0))
    assert feed(step, batch(2, bearing=97.0, catalogue=3)) == []
    assert step.version == 3 and len(step.catalogues.find("plant-1", "gw-1", 3) or ()) == 7
    # a batch of the older version is still a batch
    late = told(feed(step, batch(3)))
    assert late == [("bearing-temperature-critical", "p1.bearing-temperature", "resolved")]
    assert step.version == 3


def test_what_cannot_be_restored_is_said() -> None:
    step = new()
    feed(step, batch(0, catalogue=3))
    data = step.snapshot()
    with pytest.raises(BadState, match=r"catalogue 3 of plant-1/gw-1 is gone .* publish it again"):
        DetectStep.restore(data, RULES, Shelf(newest=2))
    _, fields = unpack(data, "detect_step")
    with pytest.raises(BadState, match="state version 3; this job knows up to 2"):
        restore(pack("detect_step", 3, fields))
    with pytest.raises(BadState, match='kind "rollup_step"'):
        restore(pack("rollup_step", 1, fields))


def test_a_step_that_saw_nothing_is_restored() -> None:
    step = restore(new().snapshot())
    assert (step.facility, step.gateway, step.version, step.watch) == ("plant-1", "gw-1", 0, None)
    assert told(feed(step, batch(0, bearing=97.0))) == [
        ("bearing-temperature-critical", "p1.bearing-temperature", "firing")
    ]


def random_calls(rnd: random.Random, count: int = 40) -> list[Call]:
    """A plant with faults and outages: lanes, epochs, catalogues that grow, silence."""
    calls: list[Call] = []
    now_ms, epoch, sequence, version, waiting = T0, 1, 0, 1, list[int]()
    hot = False
    for _ in range(count):
        now_ms += rnd.choice([0, 900, 1000, 1100, 20_000])
        kind, hot = rnd.random(), hot ^ (rnd.random() < 0.15)
        version = min(3, version + (rnd.random() < 0.03))
        if kind < 0.02:
            epoch, sequence, waiting = epoch + 1, 0, []
        if kind < 0.6:
            gap = rnd.choice([0] * 6 + [1, 8])
            waiting += range(sequence, sequence + gap)
            sequence += gap
            calls.append((now_ms, random_batch(rnd, epoch, sequence, version, hot)))
            sequence += rnd.random() > 0.05  # or else the same again
        elif kind < 0.8 and waiting:
            old = waiting.pop(0)
            backlog = random_batch(rnd, epoch, old, version, hot, Lane.BACKLOG)
            calls.append((now_ms, backlog))
        elif kind < 0.85:
            calls.append((now_ms, rnd.choice([refusal_of(), Word("plant-1", "gw-1", 1, 9, 9)])))
        else:
            calls.append((now_ms, None))
    return calls


def random_batch(
    rnd: random.Random, epoch: int, sequence: int, version: int, hot: bool, lane: str = Lane.LIVE
) -> Batch:
    n = 4 + version
    value = np.append(USUAL, [40.0] * (version - 1)) + rnd.uniform(-0.05, 0.05)
    if hot:
        value[rnd.randrange(n)] *= rnd.choice([1.7, 3.0, np.nan])
    more: dict[str, Any] = {}
    if rnd.random() < 0.2:
        kept = np.array(sorted(rnd.sample(range(n), rnd.randint(0, n))), np.uint32)
        more, value = {"sensor": kept}, value[kept]
    if rnd.random() < 0.2:
        more["quality"] = np.array([rnd.randrange(5) for _ in value], np.uint8)
    return batch(sequence, epoch=epoch, catalogue=version, value=value, lane=lane, **more)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_interruptions_change_nothing(seed: int) -> None:
    rnd = random.Random(seed)
    assert_deterministic(new, restore, random_calls(rnd), rnd)


def test_the_random_plants_do_raise_alerts() -> None:
    step, outputs = new(), list[Output]()
    for now_ms, what in random_calls(random.Random(3), 200):
        outputs += call(step, now_ms, what)
    assert {rule for rule, _, _ in told(outputs)} == {
        "bearing-temperature-critical",
        "winding-temperature-critical",
        "temperature-unusual",
        "pressure-moves-fast",
        "gateway-silent",
    }
