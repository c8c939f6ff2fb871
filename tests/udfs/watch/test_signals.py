"""Signals: which assets have one, and the values that a slow and obvious model gives too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.plant import T0, batch, catalogue
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions.gaps import longest_pause_ms
from udfs.rules.selector import Selector
from udfs.rules.signal import SignalModel
from udfs.watch.readings import Round, split
from udfs.watch.signals import Signal, bind

DELTA = {"of": {"inlet": "*.inlet", "outlet": "*.outlet"}, "value": "outlet - inlet", "unit": "K"}


def plant(*names: str, period_ms: int | Sequence[int] = 1000) -> Catalogue:
    """Sensors named asset.what; without a dot they have no asset."""
    made = catalogue(["temperature"] * len(names), period_ms)
    return replace(made, name=names, asset=tuple(name.rpartition(".")[0] for name in names))


def bound(
    made: Catalogue, model: dict[str, Any] = DELTA, slots: Sequence[int] | None = None
) -> tuple[Signal | None, list[str]]:
    chosen = np.arange(len(made)) if slots is None else np.array(slots, np.intp)
    return bind(SignalModel.model_validate(model), chosen, made, longest_pause_ms(made.period_ms))


def signal(made: Catalogue, model: dict[str, Any] = DELTA) -> Signal:
    found, problems = bound(made, model)
    assert found is not None and problems == []
    return found


Row = tuple[int, float, float]  # asset, value, second


def values(made: Signal, state: dict[str, Any], *batches: Batch) -> list[Row]:
    return [
        row
        for each in batches
        for turn in made.rounds(state, split(each, each.good(), made.sensors))
        for row in rows(turn, len(made.assets))
    ]


def rows(turn: Round, assets: int) -> list[Row]:
    slots = range(assets) if turn.slot is None else turn.slot.tolist()
    times = np.broadcast_to(np.asarray(turn.time), turn.value.shape)
    assert turn.paused_ms is None
    assert list(slots) == sorted(set(slots))
    return [
        (slot, value, (time - T0) / 1000)
        for slot, value, time in zip(slots, turn.value.tolist(), times.tolist(), strict=True)
    ]


# -- which assets


def test_assets_that_have_one_sensor_for_every_name() -> None:
    made = plant(
        "b.outlet", "a.inlet", "c.inlet", "a.outlet", "b.inlet", "a.flow", "d.outlet", "inlet",
        period_ms=[100, 1000, 1000, 5000, 1000, 1000, 1000, 1000],
    )  # fmt: skip
    found = signal(made)
    assert found.assets == ("b", "a")
    assert found.slots.tolist() == [[0, 3], [4, 1]]  # outlet is named first
    assert found.period_ms.tolist() == [1000, 5000]
    assert found.period_ms.dtype == np.int32
    assert found.limit_ms.tolist() == [[3000, 15000], [3000, 3000]]
    assert found.unit == "K"
    assert {name: array.shape for name, array in found.start().items()} == {
        "value": (2, 2),
        "time": (2, 2),
    }


def test_an_asset_with_two_sensors_for_a_name_is_left_out_and_told() -> None:
    made = plant("a.inlet", "a.outlet", "b.inlet", "b.x.outlet", "b.outlet", "b.2.inlet")
    made = replace(made, asset=("a", "a", "b", "b", "b", "c"))
    found, problems = bound(made)
    assert found is not None and found.assets == ("a",)
    assert problems == [
        'asset "b" is left out: "outlet" fits 2 sensors (b.x.outlet, b.outlet)',
    ]
    # without an outlet the two inlets of an asset are nobody's concern
    assert bound(made, slots=[2, 5]) == (None, [])
    # which sensors a rule allows decides first
    narrower, problems = bound(made, slots=[0, 1, 2, 4])
    assert narrower is not None and (narrower.assets, problems) == (("a", "b"), [])


def test_many_problems_are_few_lines() -> None:
    names = [f"{i}.{what}" for i in range(12) for what in ("inlet", "2.inlet", "outlet")]
    made = replace(plant(*names), asset=tuple(name.partition(".")[0] for name in names))
    found, problems = bound(made)
    assert found is None
    assert len(problems) == 11
    assert problems[-1] == "2 more assets are left out for the like"


def test_equal_signals_have_equal_keys() -> None:
    made = plant("a.inlet", "a.outlet", "b.inlet", "b.outlet")
    same = {"of": {"y": {"name": "*.outlet"}, "x": "*.inlet"}, "value": "(y - x)", "unit": "K"}
    assert signal(made).key == signal(made, same).key
    assert hash(signal(made).key) == hash(signal(made, same).key)
    others = [{"value": "inlet - outlet"}, {"unit": ""}, {"value": "outlet - inlet * 1"}]
    keys = {signal(made, DELTA | other).key for other in others}
    narrower, _ = bound(made, slots=[0, 1])
    assert narrower is not None
    assert len(keys | {signal(made).key, narrower.key}) == 5


def test_a_sensor_may_have_two_names() -> None:
    model = {"of": {"x": "*.inlet", "all": {"kind": "temperature"}}, "value": "x + all"}
    made = signal(plant("a.inlet", "b.inlet"), model)
    assert values(made, made.start(), batch([2, 3], 0)) == [(0, 4, 0), (1, 6, 0)]
    assert values(made, made.start(), batch([3], 0, sensor=[1])) == [(1, 6, 0)]


# -- values


TWO = plant("a.inlet", "a.outlet", "b.inlet", "b.outlet")


def test_the_usual_batch() -> None:
    made, state = signal(TWO), signal(TWO).start()
    (turn,) = made.rounds(state, split(batch([1, 5, 2, 10], 0), None, 4))
    assert (turn.slot, turn.value.tolist(), turn.time) == (None, [4.0, 8.0], T0)
    assert isinstance(turn.time, int)
    assert state["value"].tolist() == [[5, 10], [1, 2]]
    assert values(made, state, batch([1, 6, 2, 12], 1)) == [(0, 5, 1), (1, 10, 1)]


def test_the_newest_reading_is_held_until_its_gap() -> None:
    made, state = signal(TWO), signal(TWO).start()
    assert values(made, state, batch([1], 0, sensor=[0])) == []
    assert values(made, state, batch([5], 3, sensor=[1])) == [(0, 4, 3)]
    assert values(made, state, batch([6], 3.001, sensor=[1])) == []  # the inlet is too old
    assert values(made, state, batch([2], 6.001, sensor=[0])) == [(0, 4, 6.001)]
    assert values(made, state, batch([7, 9], 9, sensor=[2, 3])) == [(1, 2, 9)]


def test_readings_of_several_rounds_and_times() -> None:
    made, state = signal(TWO), signal(TWO).start()
    several = batch([1, 2, 5, 7, 8], 0, sensor=[0, 0, 1, 2, 3], offset_ms=[0, 600, 300, 0, 100])
    assert values(made, state, several) == [(0, 4, 0.3), (1, 1, 0.1), (0, 3, 0.6)]


def test_after_a_step_back_of_the_clock_both_inputs_must_be_new() -> None:
    made, state = signal(TWO), signal(TWO).start()
    values(made, state, batch([1, 5], 100, sensor=[0, 1]))
    assert values(made, state, batch([2], 50, sensor=[0])) == []
    assert values(made, state, batch([7], 50.5, sensor=[1])) == [(0, 5, 50.5)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_cannot_be_computed_is_no_value(value: float) -> None:
    made = signal(TWO, DELTA | {"value": "outlet / inlet"})
    state = made.start()
    assert values(made, state, batch([0, 5, 2, 10], 0)) == [(1, 5, 0)]
    assert values(made, state, batch([0, 5], 1, sensor=[0, 1])) == []
    assert values(made, state, batch([1], 2, sensor=[0])) == [(0, 5, 2)]
    # not usable, so that only a view of all readings shows it
    made = signal(TWO, DELTA | {"value": "1 / outlet + 0 * inlet"})
    assert made.rounds(made.start(), [Round(None, np.array([1, value, 1, value]), T0)]) == []
    # all of the inputs are good, one value is not
    assert values(made, made.start(), batch([1, 0, 1, 4], 0)) == [(1, 0.25, 0)]


# -- against a slow model


class Slow:
    """The newest reading of each input of each asset, asked one reading after the other."""

    def __init__(self, made: Signal, limits: Sequence[int]) -> None:
        self.made, self.limits = made, limits
        self.newest: dict[int, tuple[float, int]] = {}

    def round(self, readings: Sequence[tuple[int, float, int]]) -> list[Row]:
        new = {slot for slot, _, _ in readings}
        self.newest |= {slot: (value, time) for slot, value, time in readings}
        found = []
        for asset in range(len(self.made.assets)):
            outlet, inlet = (int(slot) for slot in self.made.slots[:, asset])
            if not {outlet, inlet} & new or not {outlet, inlet} <= set(self.newest):
                continue
            (high, high_ms), (low, low_ms) = self.newest[outlet], self.newest[inlet]
            time = max(high_ms, low_ms)
            old = time - high_ms > self.limits[outlet] or time - low_ms > self.limits[inlet]
            if not old and low != 0:
                found.append((asset, high / low, (time - T0) / 1000))
        return found


numbers = st.sampled_from([0.0, 1.0, 2.0, 3.5, -4.0])
readings = st.tuples(st.integers(0, 6), st.integers(0, 4000), numbers)


@st.composite
def batches(draw: st.DrawFn) -> list[Batch]:
    made, second = [], 0.0
    for number in range(draw(st.integers(1, 8))):
        second += draw(st.sampled_from([0.5, 1, 2, 3, 3.5, 10, 16, -5]))
        if draw(st.booleans()):
            made.append(batch([draw(numbers) for _ in range(7)], second, number))
            continue
        found = sorted(draw(st.lists(readings, max_size=12)), key=lambda row: row[:2])
        offsets = [row[1] for row in found] if draw(st.booleans()) else None
        slots, given = [row[0] for row in found], [row[2] for row in found]
        made.append(batch(given, second, number, sensor=slots, offset_ms=offsets))
    return made


@settings(max_examples=300, deadline=None)
@given(batches())
def test_values_are_those_of_a_slow_model(given_: list[Batch]) -> None:
    made = plant(
        "a.inlet", "b.inlet", "a.outlet", "x", "c.outlet", "b.outlet", "c.inlet",
        period_ms=[1000, 5000, 1000, 1000, 100, 1000, 1000],
    )  # fmt: skip
    fast = signal(made, DELTA | {"value": "outlet / inlet"})
    state, slow = fast.start(), Slow(fast, longest_pause_ms(made.period_ms).tolist())
    for each in given_:
        for turn in split(each, each.good(), 7):
            found = [row for one in fast.rounds(state, [turn]) for row in rows(one, 3)]
            slots = range(7) if turn.slot is None else turn.slot.tolist()
            times = np.broadcast_to(np.asarray(turn.time), turn.value.shape).tolist()
            assert found == slow.round(list(zip(slots, turn.value.tolist(), times, strict=True)))


def test_a_catalogue_that_grew_keeps_the_places_of_what_was_there() -> None:
    before = signal(TWO)
    after = signal(plant(*TWO.name, "c.inlet", "c.outlet"))
    assert after.assets[:2] == before.assets
    assert after.slots[:, :2].tolist() == before.slots.tolist()


def test_selectors_decide_who_is_an_input() -> None:
    made = replace(TWO, tags=("raw", "", "", "raw"))
    found, _ = bound(made, slots=Selector(tag=["raw"]).slots(made).tolist())
    assert found is None
