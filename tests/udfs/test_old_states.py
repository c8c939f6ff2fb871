"""States that older versions wrote, in tests/cases/state, are restored and go on.

`python -m tests.udfs.test_old_states` writes the files of the present version; those of a version
that was released never change.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.udfs.plant import T0, catalogue
from tests.udfs.steps import call, refusal_of
from udfs import rollup
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.detect_step import DetectStep
from udfs.fingerprint import fingerprint, total
from udfs.ledger import Word
from udfs.records import Output
from udfs.rollup_step import RollupStep
from udfs.rules.rulebook import Rule, parse
from udfs.state import BadState, pack, unpack

FOLDER = Path(__file__).parents[1] / "cases" / "state"
START_MS = 1_700_000_040_000  # a whole minute


def rollup_batch(sequence: int) -> Batch:
    value = np.array([1.5, 2.5, float(sequence)])
    return Batch("plant-1", "gw-1", 1, sequence, START_MS + sequence * 10_000, value)


PRESENT = {"rollup_step": 2, "detect_step": 2}


def content(sequence: int) -> int:
    return fingerprint(rollup_batch(sequence))


PAIR = total(content(9), content(10))


def rollup_step() -> RollupStep:
    """One minute closed; one open with a hole, parked batches and losses; one duplicate; of what
    Kafka acknowledged a range verified, one different, and one that waits for a batch.
    """
    step = RollupStep("plant-1", "gw-1")
    for sequence in (0, 1, 3, 2, 4, 5, 6, 7, 7, 10, 11):
        call(step, START_MS + sequence * 10_000 + 100, rollup_batch(sequence))
    ranges = ((0, 2, 9, total(*map(content, range(3)))), (3, 3, 3, 1), (9, 10, 6, PAIR))
    word = Word("plant-1", "gw-1", 1, 11, 30, ((8, 8),), ranges=ranges, acknowledged_through=9)
    call(step, START_MS + 110_200, word)
    call(step, START_MS + 110_300, refusal_of())
    return step


RULES_TEXT = """
rules:
  - {name: hot, sensors: {kind: temperature}, severity: critical, text: "{sensor}",
     condition: {threshold: {above: 90, clear_below: 85}}}
  - {name: odd, sensors: {kind: flow}, severity: info, text: "{sensor}",
     condition: {ewma: {z: 8, half_life_s: 600, warm_up: 10, min_sigma: 0.05}}}
  - {name: silent, severity: critical, text: "{gateway}",
     condition: {no_data: {for_s: 15, of: gateway}}}
"""


class OneCatalogue:
    """A temperature and a flow."""

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        return catalogue(["temperature", "flow"]) if version == 1 else None

    def knows(self, facility: str, gateway: str) -> bool:
        return True


def rules() -> list[Rule]:
    return parse(RULES_TEXT, "rules.yaml")


def detect_batch(sequence: int, heat: float = 60.0, flow: float = 40.0, **more: str) -> Batch:
    value = np.array([heat, flow + 0.01 * (sequence % 3)])
    return Batch("plant-1", "gw-1", 1, sequence, T0 + sequence * 1000, value, **more)


def detect_step() -> DetectStep:
    """One alert firing; a mean learned; a hole that the backlog has begun to fill."""
    step = DetectStep("plant-1", "gw-1", rules(), OneCatalogue())
    for sequence in range(12):
        call(step, T0 + sequence * 1000 + 100, detect_batch(sequence))
    call(step, T0 + 16_100, detect_batch(16, heat=95.0))
    call(step, T0 + 16_200, detect_batch(12, lane=Lane.BACKLOG))
    return step


@pytest.mark.parametrize("version", [1, 2])
def test_rollup_step_goes_on(version: int) -> None:
    step = RollupStep.restore((FOLDER / f"rollup_step-v{version}.bin").read_bytes())
    assert call(step, START_MS + 111_000, rollup_batch(11)) == []
    assert step.tally == {"duplicates": 1}
    assert call(step, START_MS + 115_000, rollup_batch(12)) == []
    (output,) = call(step, START_MS + 116_000, rollup_batch(9))
    item = rollup.decode(output.value)
    assert (item.minute_ms, item.revision, item.complete) == (START_MS + 60_000, 1, False)
    assert (item.missing, item.batches, item.readings()) == (1, 5, 15)
    assert item.sum.tolist() == [7.5, 12.5, 6.0 + 7 + 9 + 10 + 11]
    assert item.first.tolist() == [1.5, 2.5, 6.0] and item.last.tolist() == [1.5, 2.5, 11.0]
    line = json.loads(step.on_timer(START_MS + 120_000)[-1].value)
    assert {name: line[name] for name in ("batches", "readings", "epoch_readings")} == {
        "batches": 12,
        "readings": 36,
        "epoch_readings": 36,
    }
    assert (line["duplicates"], line["refused"], line["declared_lost"]) == (2, 1, 1)
    assert (line["contiguous_through"], line["missing"], line["late"]) == (12, 0, 0)
    compared = line["verified_through"], line["verified_readings"], line["different"]
    # what waited is verified by batch 9, which came; version 1 compared nothing
    assert compared == ((-1, 0, []) if version == 1 else (10, 15, [[1, 3, 3]]))
    assert line["unaccounted"] == []


def told(outputs: list[Output]) -> list[tuple[str, str, str, bool]]:
    events = [json.loads(output.value) for output in outputs]
    return [(e["rule"], e["status"], e["id"], e["late"]) for e in events]


@pytest.mark.parametrize("version", [1, 2])
def test_detect_step_goes_on(version: int) -> None:
    data = (FOLDER / f"detect_step-v{version}.bin").read_bytes()
    step = DetectStep.restore(data, rules(), OneCatalogue())
    assert call(step, T0 + 16_900, detect_batch(16)) == [] and step.tally == {"duplicates": 1}
    cool = call(step, T0 + 17_100, detect_batch(17))
    assert told(cool) == [("hot", "resolved", "7f3b1eea-8233-584c-b84c-82130eb78ba6", False)]
    # what was learned before is still known: a flow that moves this far is odd at once
    odd = call(step, T0 + 18_100, detect_batch(18, flow=45.0))
    assert told(odd) == [("odd", "firing", "9593f969-4794-57bf-a3b4-6f0c402a778b", False)]
    late = call(step, T0 + 18_200, detect_batch(13, heat=99.0, lane=Lane.BACKLOG))
    assert told(late) == [("hot", "firing", "6017f6b4-732d-5702-9610-183c5f2a1503", True)]
    assert step.wake_at() == T0 + 18_200 + 15_000


@pytest.mark.parametrize("kind", ["rollup_step", "detect_step"])
def test_a_newer_version_is_refused(kind: str) -> None:
    present = PRESENT[kind]
    version, fields = unpack((FOLDER / f"{kind}-v{present}.bin").read_bytes(), kind)
    assert version == present
    newer = pack(kind, present + 1, fields)
    with pytest.raises(BadState, match=f"version {present + 1}; this job knows up to {present}"):
        if kind == "rollup_step":
            RollupStep.restore(newer)
        else:
            DetectStep.restore(newer, rules(), OneCatalogue())


def layout(data: bytes, kind: str) -> dict[str, object]:
    """Names and types of all fields, and of the states inside (a minute's, a watch's)."""
    _, fields = unpack(data, kind)
    found: dict[str, object] = {}
    for name, value in fields.items():
        inside = name.partition(".")[0]
        if isinstance(value, np.ndarray):
            found[name] = value.dtype.str, value.shape
        elif isinstance(value, bytes):
            found[name] = layout(value, {"parked": "part"}.get(inside, inside))
        else:
            found[name] = type(value).__name__
    return found


def test_todays_code_writes_the_same_layout() -> None:
    """One that changed needs a new version, or at least a look at who reads the old one."""
    for step, kind in ((rollup_step(), "rollup_step"), (detect_step(), "detect_step")):
        old = (FOLDER / f"{kind}-v{PRESENT[kind]}.bin").read_bytes()
        assert layout(step.snapshot(), kind) == layout(old, kind)


def write() -> None:
    """Write the states of the present version."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "rollup_step-v2.bin").write_bytes(rollup_step().snapshot())
    (FOLDER / "detect_step-v2.bin").write_bytes(detect_step().snapshot())


if __name__ == "__main__":
    write()
