"""The pre-screen gives the ids of the cloud for the same batches, whatever restarts it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from edge.prescreen import Prescreen
from edge.rules import load_rules
from edge.simulator.build import FleetBuilder, expected_batches
from edge.simulator.settings import SimulatorSettings
from udfs.alerts import AlertEvent, from_json
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.detect_step import DetectStep
from udfs.records import ALERTS, Record
from udfs.rules.model import Rule
from udfs.rules.rulebook import parse
from udfs.state import BadState, pack, unpack
from udfs.watch.watch import Watch

START_MS = 1_750_000_000_000
RULES = load_rules()
FAULTS = [
    {"kind": "step", "sensors": "pump*.bearing-temperature", "from_s": 40, "for_s": 30, "size": 60},
    {"kind": "ramp", "sensor_kind": "vibration", "from_s": 50, "for_s": 40, "size": 12},
    {"kind": "stuck", "sensors": "pump-001.*", "from_s": 80, "for_s": 60},
    {"kind": "dropout", "sensors": "pump-002.*", "from_s": 60, "for_s": 40},
    {"kind": "spike", "sensor_kind": "pressure", "from_s": 90, "size": 20},
    {"kind": "step", "sensors": "motor-00?.winding-temperature", "from_s": 100, "size": 90},
]  # fmt: skip
SIMULATED = SimulatorSettings(
    facilities=1, sensors=120, batches=160, start_ms=START_MS, faults=FAULTS
)


@cache
def plant() -> tuple[Catalogue, tuple[Batch, ...]]:
    catalogue = FleetBuilder(SIMULATED).catalogues[0]
    return catalogue, tuple(expected_batches(SIMULATED, catalogue.facility, catalogue.gateway))


@dataclass
class Shelf:
    """Every version of the catalogue that was ever there."""

    made: dict[int, Catalogue]

    def version(self, number: int) -> Catalogue:
        if number not in self.made:
            raise IndexError(number)
        return self.made[number]

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        return self.made.get(version)

    def knows(self, facility: str, gateway: str) -> bool:
        return True


def shelf() -> Shelf:
    """Version 1 lacks the last twenty sensors of version 2."""
    whole = plant()[0]
    texts = {
        name: getattr(whole, name)[:-20]
        for name in ("name", "unit", "kind", "asset", "asset_type", "tags")
    }
    numbers = {name: getattr(whole, name)[:-20] for name in ("low", "high", "period_ms")}
    return Shelf({1: replace(whole, **texts, **numbers), 2: replace(whole, version=2)})


def grown(batches: Iterable[Batch], at: int) -> list[Batch]:
    """The batches as of version 1 until that number, then of version 2."""
    return [small(b) if b.sequence < at else replace(b, catalogue=2) for b in batches]


def small(batch: Batch) -> Batch:
    keep = batch.slots() < len(shelf().made[1])
    quality = None if batch.quality is None else batch.quality[keep]
    offset_ms = None if batch.offset_ms is None else batch.offset_ms[keep]
    return replace(
        batch,
        value=batch.value[keep],
        sensor=batch.slots()[keep],
        quality=quality,
        offset_ms=offset_ms,
    )


def new(rules=RULES) -> Prescreen:
    catalogue = plant()[0]
    return Prescreen(rules, catalogue.facility, catalogue.gateway)


def restored(data: bytes, rules=RULES) -> Prescreen:
    made = new(rules)
    made.restore(data, shelf())
    return made


def feed(prescreen: Prescreen, batches: Iterable[Batch], after_ms: int = 1200) -> list[AlertEvent]:
    made = shelf().made
    return [
        event
        for batch in batches
        for event in prescreen.on_batch(batch, made[batch.catalogue], batch.time_ms + after_ms)
    ]


def cloud(batches: Iterable[Batch]) -> list[AlertEvent]:
    """What detect_anomalies says of these batches, in the order in which they arrive."""
    catalogue = plant()[0]
    step = DetectStep(catalogue.facility, catalogue.gateway, RULES, shelf())
    return [
        from_json(output.value)
        for batch in batches
        for output in step.on_batch(batch, Record("k", "t", 0, 0, b""), batch.time_ms + 1500)
        if output.topic == ALERTS
    ]


def told(events: Iterable[AlertEvent]) -> list[tuple[str, str, str, str]]:
    return [(event.id, event.status, event.rule, event.text) for event in events]


def test_the_ids_are_those_of_the_cloud() -> None:
    batches = grown(plant()[1], at=70)
    events = feed(new(), batches)
    assert told(events) == told(cloud(batches))
    assert {event.rule for event in events} >= {
        "bearing-temperature-high",
        "bearing-temperature-critical",
        "vibration-critical",
        "pressure-moves-fast",
        "signal-stuck",
        "no-data",
    }
    assert {event.status for event in events} == {"firing", "resolved"}
    assert not any(event.late for event in events)


@pytest.mark.parametrize("seed", range(6))
def test_kills_change_nothing(seed: int) -> None:
    """Restored from the last snapshot, run through what came since, and on."""
    rnd = random.Random(seed)
    batches = grown(plant()[1], at=rnd.randrange(20, 140))
    straight = new()
    expected = feed(straight, batches)
    prescreen, saved, saved_at, found, at = new(), new().snapshot(), 0, [], 0
    while at < len(batches):
        if rnd.random() < 0.1:
            saved, saved_at = prescreen.snapshot(), at
        if rnd.random() < 0.1:
            prescreen = restored(saved)
            again = feed(prescreen, batches[saved_at:at], after_ms=60_000)
            assert set(told(again)) <= set(told(found))
        found += feed(prescreen, batches[at : at + 1])
        at += 1
    assert told(found) == told(expected)
    assert straight.firing.events()
    assert told(prescreen.firing.events()) == told(straight.firing.events())


def test_a_batch_that_was_judged_is_judged_once() -> None:
    prescreen, batches = new(), grown(plant()[1], at=0)
    assert len(feed(prescreen, batches[:60])) > 10
    before = prescreen.snapshot()
    assert feed(prescreen, batches[30:60]) == []
    assert told(feed(prescreen, batches[60:])) == told(feed(restored(before), batches[60:]))


def with_stragglers(batches: list[Batch], at: Iterable[int], behind_s: int) -> list[Batch]:
    """Batches of old times between the others, numbered as they leave; all they say is alarming."""
    mixed: list[Batch] = []
    for batch in batches:
        if batch.sequence in at:
            slots = np.arange(0, len(shelf().made[2]), 3, dtype=np.uint32)
            wrong = np.full(len(slots), 500.0)
            old = batch.time_ms - behind_s * 1000
            mixed.append(replace(
                batch, time_ms=old, value=wrong, sensor=slots, quality=None, offset_ms=None
            ))  # fmt: skip
        mixed.append(batch)
    return [replace(batch, sequence=number) for number, batch in enumerate(mixed)]


@pytest.mark.parametrize("behind_s", [2, 9, 30, 7200])
def test_late_ticks_do_no_harm(behind_s: int) -> None:
    batches = grown(plant()[1], at=0)
    mixed = with_stragglers(batches, range(5, 160, 4), behind_s)
    made, prescreen, events = shelf().made, new(), []
    for batch in mixed:
        now_ms = max(b.time_ms for b in mixed[: batch.sequence + 1]) + 1200
        events += prescreen.on_batch(batch, made[2], now_ms)
    assert prescreen.passed_over == 39
    assert told(events) == told(feed(new(), batches))


@pytest.mark.parametrize("behind_s", [2, 9])
def test_stragglers_give_the_ids_of_the_cloud(behind_s: int) -> None:
    batches = grown(plant()[1], at=0)
    mixed = with_stragglers(batches, range(5, 160, 4), behind_s)
    assert told(feed(new(), mixed)) == told(cloud(mixed)) == told(cloud(batches))


def test_late_ticks_in_the_backlog_lane_leave_the_ids_of_the_cloud_alone() -> None:
    """Of what fires live. They leave a hole in the numbers, but none in time."""
    mixed = with_stragglers(grown(plant()[1], at=0), range(5, 160, 40), 600)
    newest = np.maximum.accumulate([batch.time_ms for batch in mixed])
    sent = [
        replace(b, lane=Lane.BACKLOG) if b.time_ms < limit else b
        for b, limit in zip(mixed, newest, strict=True)
    ]
    there = [e for e in cloud(sent) if not e.late]
    made, prescreen = shelf().made, new()
    here = [
        event
        for batch, limit in zip(mixed, newest, strict=True)
        for event in prescreen.on_batch(batch, made[2], int(limit) + 1200)
    ]
    assert told(here) == told(there)


def test_a_clock_that_was_set_back_is_followed() -> None:
    """An hour ahead, then right: waiting for the hour to pass would be an hour without alarms."""
    batches = grown(plant()[1], at=0)
    ahead = [replace(b, time_ms=b.time_ms + 3_600_000) for b in batches[:30]]
    prescreen = new()
    feed(prescreen, ahead)
    events = feed(prescreen, batches[30:])
    assert prescreen.passed_over == 0
    hot = {(e.rule, e.subject) for e in events if e.rule == "bearing-temperature-critical"}
    assert hot == {
        (e.rule, e.subject)
        for e in feed(new(), batches)
        if e.rule == "bearing-temperature-critical"
    }
    assert hot


def test_the_alerts_of_an_outage_are_those_that_the_backlog_gives() -> None:
    batches = grown(plant()[1], at=0)
    live, held = batches[:35] + batches[110:], batches[35:110]
    arriving = [*live[:36], *(replace(b, lane=Lane.BACKLOG) for b in held), *live[36:]]
    late = {e.id for e in cloud(arriving) if e.late and e.status == "firing"}
    here = feed(new(), batches)
    first_ms, last_ms = held[0].time_ms, held[-1].time_ms
    during = {
        e.id for e in here if e.status == "firing" and first_ms <= e.event_ms <= last_ms
        and e.onset_ms >= first_ms
    }  # fmt: skip
    assert len(during) > 10 and during <= late


def test_silence_of_the_gateway_is_never_told_here() -> None:
    batches = grown(plant()[1], at=0)
    prescreen = new()
    feed(prescreen, batches[:20])
    events = feed(prescreen, [replace(batches[20], time_ms=batches[19].time_ms + 3_600_000)])
    assert [e for e in events if e.subject == "gateway"] == []


def test_changed_rules_resolve_what_is_gone() -> None:
    prescreen, batches = new(), grown(plant()[1], at=0)
    feed(prescreen, batches[:60])
    gone = "bearing-temperature-critical"
    ids = {e.id for e in prescreen.firing.events() if e.rule == gone}
    assert ids
    after = restored(prescreen.snapshot(), [r for r in RULES if r.name != gone])
    assert {e.id for e in after.firing.events()} >= ids
    events = feed(after, batches[60:61])
    assert ids <= {e.id for e in events if e.status == "resolved"}
    assert not ids & {e.id for e in after.firing.events()}


def test_a_snapshot_before_the_first_batch() -> None:
    batches = grown(plant()[1], at=0)
    assert told(feed(restored(new().snapshot()), batches)) == told(feed(new(), batches))


def test_a_snapshot_that_does_not_fit_is_refused_and_leaves_nothing() -> None:
    prescreen, batches = new(), grown(plant()[1], at=0)
    feed(prescreen, batches[:60])
    data = prescreen.snapshot()
    with pytest.raises(BadState, match=r"state of plant-0001/gw-1, not of plant-9/gw-1"):
        Prescreen(RULES, "plant-9", "gw-1").restore(data, shelf())
    with pytest.raises(BadState, match="there is no catalogue 2 any more"):
        prescreen.restore(data, Shelf({}))
    with pytest.raises(BadState):
        prescreen.restore(b"junk", shelf())
    assert prescreen.firing.events() == []
    assert told(feed(prescreen, batches)) == told(feed(new(), batches))


def test_no_rules_no_alerts() -> None:
    assert feed(new(parse("rules: []", "none.yaml")), grown(plant()[1], at=0)) == []


def test_a_fault_that_outlasts_an_outage_has_the_earlier_onset_here() -> None:
    """Who delivers alerts has to know (infra/contracts/edge-alert.yaml): one fault, two ids."""
    batches = grown(plant()[1], at=0)
    held = [replace(b, lane=Lane.BACKLOG) for b in batches[90:130]]
    there = cloud([*batches[:90], *batches[130:132], *held, *batches[132:]])
    here = feed(new(), batches)

    def onsets(events: list[AlertEvent], late: bool) -> set[int]:
        hot = "winding-temperature-critical"
        return {
            (e.onset_ms - START_MS) // 1000
            for e in events
            if e.rule == hot and e.status == "firing" and e.late == late
        }

    assert onsets(here, late=False) == onsets(there, late=True) == {100}
    assert onsets(there, late=False) == {130}


def without(name: str) -> list[Rule]:
    return [rule for rule in RULES if rule.name != name]


HOT = "bearing-temperature-critical"


def test_other_rules_between_two_batches_are_those_of_a_restart() -> None:
    """Adopted while it runs, or restored with: the same alerts, and the same state after them."""
    batches = grown(plant()[1], at=0)
    running = new()
    feed(running, batches[:60])
    again = restored(running.snapshot(), without(HOT))
    running.adopt(without(HOT), 7)
    assert running.revision == 7
    assert told(feed(running, batches[60:])) == told(feed(again, batches[60:]))
    assert told(running.firing.events()) == told(again.firing.events())


def test_other_rules_leave_those_that_stay_alone() -> None:
    batches = grown(plant()[1], at=0)
    straight, changed = new(), new()
    expected = feed(straight, batches)
    found = feed(changed, batches[:60])
    gone = {event.id for event in changed.firing.events() if event.rule == HOT}
    changed.adopt(without(HOT), 7)
    first = feed(changed, batches[60:61])
    assert gone and gone <= {event.id for event in first if event.status == "resolved"}
    found += first + feed(changed, batches[61:])
    others = [each for each in told(found) if each[2] != HOT]
    assert others == [each for each in told(expected) if each[2] != HOT]
    assert not [event for event in changed.firing.events() if event.rule == HOT]


def test_before_the_first_batch_other_rules_are_simply_taken() -> None:
    batches = grown(plant()[1], at=0)
    prescreen = new([])
    prescreen.adopt(RULES, 3)
    assert told(feed(prescreen, batches)) == told(feed(new(), batches))


def test_a_snapshot_is_taken_up_with_the_rules_of_its_revision() -> None:
    """What is run through again was judged by them; the newest come after it."""
    batches = grown(plant()[1], at=0)
    straight = Prescreen(RULES, plant()[0].facility, plant()[0].gateway, 6)
    feed(straight, batches[:30])
    data, later = straight.snapshot(), feed(straight, batches[30:60])
    after = Prescreen(without(HOT), plant()[0].facility, plant()[0].gateway, 7)
    after.restore(data, shelf(), {6: RULES}.get)
    assert after.revision == 6
    assert told(feed(after, batches[30:60])) == told(later)
    gone = Prescreen(without(HOT), plant()[0].facility, plant()[0].gateway, 7)
    gone.restore(data, shelf(), {5: RULES}.get)
    assert gone.revision == 7


def test_a_snapshot_of_before_there_were_revisions() -> None:
    batches = grown(plant()[1], at=0)
    prescreen = new()
    feed(prescreen, batches[:60])
    _, fields = unpack(prescreen.snapshot(), "edge_prescreen")
    del fields["revision"]
    data = pack("edge_prescreen", 1, fields)
    after = Prescreen([], plant()[0].facility, plant()[0].gateway, 4)
    after.restore(data, shelf(), {0: RULES}.get)
    assert after.revision == 0
    assert told(feed(after, batches[60:])) == told(feed(prescreen, batches[60:]))


def test_rules_that_cannot_be_adopted_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = grown(plant()[1], at=0)
    prescreen, straight = new(), new()
    feed(prescreen, batches[:60])
    feed(straight, batches[:60])
    with monkeypatch.context() as patched:
        patched.setattr(Watch, "restore", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prescreen.adopt(without(HOT), 7)
    assert prescreen.revision == 0
    assert told(feed(prescreen, batches[60:])) == told(feed(straight, batches[60:]))
