import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.simulator.build import FleetBuilder, expected_batches
from edge.simulator.faults import Fault
from edge.simulator.settings import PLANT, SimulatorSettings
from udfs.batch import Quality, check, decode, encode

START_MS = 1_750_000_000_000  # a whole number of ticks of 1 s

MIXED = PLANT.parent / "mixed-periods.yaml"
CLEAN = """
description: Two pumps.
assets:
  pump:
    count: 2
    sensors:
      - {name: flow, kind: flow, unit: l, low: 0, high: 400, base: 180, noise: 1, resolution: 0.5}
      - {name: heat, kind: temperature, unit: °C, low: 0, high: 120, base: 60, resolution: 0.1}
"""
NOW_MS = START_MS + 3_600_000


@pytest.fixture
def clean(tmp_path):
    path = tmp_path / "clean.yaml"
    path.write_text(CLEAN)
    return path


def gateway(index=0, **settings):
    return FleetBuilder(SimulatorSettings(**settings)).gateway(index, START_MS)


@pytest.mark.parametrize("template", [PLANT, MIXED], ids=lambda p: p.stem)
def test_every_batch_keeps_the_contract(template):
    source = gateway(template=template, sensors=500)
    seen = set()
    for sequence in range(600):
        batch = decode(encode(source.batch(sequence)))
        check(batch, "plant-0001", sensors=500, now_ms=NOW_MS)
        assert batch.time_ms == START_MS + sequence * 1000
        slots = batch.slots().astype(np.int64)
        times = batch.offset_ms if batch.offset_ms is not None else np.zeros(len(batch), np.int32)
        assert (np.diff(slots * 1000 + times) > 0).all()
        assert times.min() >= 0
        assert times.max() < 1000
        seen |= {(batch.sensor is None, batch.quality is None)}
    assert {(False, True), (False, False) if template == MIXED else (True, False)} <= seen


def test_a_clean_batch_has_only_values(clean):
    batch = gateway(template=clean, sensors=4000).batch(0)
    assert (batch.sensor, batch.offset_ms, batch.quality) == (None, None, None)
    assert len(encode(batch)) < 4000 * 8 + 1000


def test_values_lie_on_the_grid_and_near_their_mean(clean):
    source = gateway(template=clean, sensors=4)
    values = np.array([source.batch(sequence).value for sequence in range(500)])
    assert (values[:, 0] % 0.5 == 0).all()
    assert set(values[:, 1]) == {60.0}
    assert abs(values[:, 0].mean() - 180) < 0.2
    assert 0.9 < values[:, 0].std() < 1.15


def test_healthy_sensors_stay_in_range_through_a_week():
    source = gateway(sensors=500)
    catalogue = FleetBuilder(SimulatorSettings(sensors=500)).catalogues[0]
    for sequence in range(0, 7 * 86_400, 3571):
        batch = source.batch(sequence)
        slots, good = batch.slots(), np.isfinite(batch.value)
        assert (batch.value >= catalogue.low[slots])[good].all()
        assert (batch.value <= catalogue.high[slots])[good].all()


def test_the_day_has_its_peak_in_the_afternoon():
    source = FleetBuilder(SimulatorSettings(sensors=100)).gateway(0, 0)
    heat = [source.batch(hour * 3600).value[0] for hour in (3, 9, 15, 21)]
    assert heat[2] - heat[0] > 3  # daily cycle of 2.5 up and down
    assert heat[0] < heat[1] < heat[2] > heat[3]


@pytest.fixture(scope="module")
def twins():
    return gateway(sensors=50), gateway(sensors=50)


@given(sequences=st.lists(st.integers(0, 100_000), min_size=2, max_size=20))
def test_batches_do_not_depend_on_each_other(twins, sequences):
    one, other = twins
    there = {n: encode(one.batch(n)) for n in sequences}
    back = {n: encode(other.batch(n)) for n in reversed(sequences)}
    assert there == back


def test_seed_facility_and_number_all_matter():
    batches = [
        gateway(sensors=50).batch(0),
        gateway(sensors=50).batch(1),
        gateway(sensors=50, seed=2).batch(0),
        gateway(sensors=50, index=1).batch(0),
    ]
    assert len({batch.value.tobytes() for batch in batches}) == 4
    assert len({batch.traceparent for batch in batches}) == 4


def test_same_seed_same_bytes_in_another_process():
    program = (
        "import hashlib; from edge.simulator.build import expected_batches;"
        "from edge.simulator.settings import *; from udfs.batch import encode;"
        "s = SimulatorSettings(template=PLANT.parent / 'mixed-periods.yaml', sensors=300,"
        f"start_ms={START_MS}, batches=120, faults=({{'kind': 'noise', 'size': 3}},));"
        "d = b''.join(encode(b) for b in expected_batches(s, 'plant-0002', 'gw-1'));"
        "print(len(d), hashlib.sha256(d).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=PLANT.parents[2],
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert int(runs[0].split()[0]) > 120 * 300 * 8


def test_the_traceparent_is_one_of_w3c():
    assert gateway(sensors=5).batch(7).traceparent == (
        "00-e14386895c3b9fb0d5e24586779edd0a-7a9faec2d122f8b7-01"
    )


def test_imperfections_come_at_about_their_rates():
    source = gateway(sensors=200)
    batches = [source.batch(sequence) for sequence in range(4000)]
    codes = [set(np.unique(b.quality)) - {0} for b in batches if b.quality is not None]
    assert 20 < sum(Quality.UNCERTAIN in code for code in codes) < 60
    assert 8 < sum(Quality.BAD in code for code in codes) < 36
    assert 20 < sum(b.sensor is not None for b in batches) < 60
    for batch in batches:
        bad = np.isnan(batch.value)
        assert not bad.any() or set(batch.quality[bad]) == {Quality.BAD}


class TestTimetable:
    def test_fast_sensors_have_several_readings_a_batch(self):
        batch = gateway(template=MIXED, sensors=3).batch(60)
        assert batch.slots().tolist() == [0] * 10 + [1, 2]
        assert batch.offset_ms[:10].tolist() == list(range(0, 1000, 100))
        assert 0 <= batch.offset_ms[10] < 400
        assert batch.offset_ms[11] == 0

    def test_slow_sensors_come_when_they_are_due(self):
        source = gateway(template=MIXED, sensors=6)  # level 10 s, temperature 60 s, outlet flow 1 s
        seen = [set(source.batch(n).slots()) & {3, 4, 5} for n in range(61)]
        minute = 60 - START_MS // 1000 % 60
        assert [n for n, slots in enumerate(seen) if 4 in slots] == [minute]
        assert sum(3 in slots for slots in seen) == 7 - (START_MS // 1000 % 10 != 0)
        assert sum(5 in slots for slots in seen) == 61

    def test_as_many_readings_as_sensors_need_not_be_one_of_each(self, tmp_path):
        path = tmp_path / "odd.yaml"
        heat = "name: heat, period_ms: 2000"
        path.write_text(
            CLEAN.replace("name: heat", heat).replace("flow,", "flow, period_ms: 500,", 1)
        )
        batch = gateway(template=path, sensors=2).batch(1)
        assert batch.slots().tolist() == [0, 0]

    def test_a_period_that_does_not_fit_is_refused(self):
        with pytest.raises(EdgeError, match=r"period_ms \[1000\]: each must divide tick_ms"):
            gateway(tick_ms=1500)


class TestFaults:
    def values(self, clean, *faults, seconds=20):
        settings = {"template": clean, "sensors": 4}
        faulty = gateway(**settings, faults=faults)
        healthy = gateway(**settings)
        return [(faulty.batch(n), healthy.batch(n)) for n in range(seconds)]

    def changes(self, clean, fault):
        return [(f.value - h.value).tolist() for f, h in self.values(clean, fault)]

    def test_step(self, clean):
        fault = Fault(kind="step", sensors="pump-002.heat", from_s=5, for_s=3, size=25)
        changes = self.changes(clean, fault)
        assert changes[4] == changes[8] == [0, 0, 0, 0]
        assert changes[5] == changes[7] == [0, 0, 0, 25]

    def test_spike(self, clean):
        fault = Fault(kind="spike", sensor_kind="flow", from_s=5, size=-40)
        changes = self.changes(clean, fault)
        assert changes[4] == changes[6] == [0, 0, 0, 0]
        assert changes[5] == [-40, 0, -40, 0]

    def test_ramp(self, clean):
        fault = Fault(kind="ramp", sensors="pump-001.heat", from_s=4, for_s=10, size=20)
        heat = [round(change[1], 6) for change in self.changes(clean, fault)]
        assert heat[:5] == [0] * 5
        assert heat[5:14] == [2, 4, 6, 8, 10, 12, 14, 16, 18]
        assert heat[14:] == [0] * 6

    def test_stuck_has_one_value(self, clean):
        fault = Fault(kind="stuck", sensors="pump-001.flow", from_s=5)
        flow = [faulty.value[0] for faulty, _ in self.values(clean, fault)]
        assert set(flow[5:]) == {180.0}
        assert len(set(flow[:5])) > 2

    def test_noise(self, clean):
        fault = Fault(kind="noise", sensors="pump-001.flow", size=10)
        flow = np.array([faulty.value[0] for faulty, _ in self.values(clean, fault, seconds=300)])
        assert 8.5 < flow.std() < 11.5

    def test_dropout_leaves_ascending_slots(self, clean):
        fault = Fault(kind="dropout", sensors="pump-001.heat", from_s=5, for_s=2)
        pairs = self.values(clean, fault)
        assert pairs[4][0].sensor is None
        assert pairs[7][0].sensor is None
        faulty, healthy = pairs[5]
        assert faulty.sensor.tolist() == [0, 2, 3]
        assert faulty.value.tolist() == healthy.value[[0, 2, 3]].tolist()
        check(decode(encode(faulty)), "plant-0001", sensors=4, now_ms=NOW_MS)

    def test_all_sensors_gone_is_an_empty_batch(self, clean):
        faulty, _ = self.values(clean, Fault(kind="dropout"))[0]
        assert len(decode(encode(faulty))) == 0

    def test_other_facilities_are_well(self, clean):
        fault = Fault(kind="step", facility="plant-0002", size=9)
        assert self.changes(clean, fault)[0] == [0, 0, 0, 0]

    def test_one_line_of_text(self):
        assert Fault.parse("step:sensors=pump-00?.heat,from_s=2,size=9.5") == Fault(
            kind="step", sensors="pump-00?.heat", from_s=2, size=9.5
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("step:from_s=2", "a step needs a size"),
            ("stuck:size=2", "a stuck has no size"),
            ("ramp:size=2", "a ramp needs for_s"),
            ("spike:size=2,for_s=9", "a spike lasts one tick"),
            ("step:size=2,form_s=9", "form_s: unknown key"),
            ("melt:size=2", "Input should be 'spike', 'step'"),
            ("step:size=nan", "finite number"),
        ],
    )
    def test_refuses(self, text, message):
        with pytest.raises(EdgeError, match=message):
            Fault.parse(text)

    def test_a_fault_that_meets_no_sensor_is_refused(self):
        with pytest.raises(EdgeError, match='no sensor matches "pmup-001') as caught:
            gateway(faults=(Fault(kind="stuck", sensors="pmup-001.flow"),))
        assert "sensors are named as pump-001.flow" in str(caught.value)


class TestExpected:
    settings = SimulatorSettings(sensors=10, start_ms=START_MS, batches=5)

    def test_all_batches_in_order(self):
        batches = list(expected_batches(self.settings, "plant-0003", "gw-1"))
        assert [batch.sequence for batch in batches] == [0, 1, 2, 3, 4]
        assert replace(batches[2]).facility == "plant-0003"

    def test_lost_ones_are_left_out(self):
        links = {"lost": [{"first": 1, "last": 2, "declared": False}]}
        settings = SimulatorSettings(**(dict(self.settings) | {"links": links}))
        assert [b.sequence for b in expected_batches(settings, "plant-0001", "gw-1")] == [0, 3, 4]

    def test_refuses_what_has_no_answer(self):
        with pytest.raises(EdgeError, match="no gateway plant-0004/gw-1"):
            expected_batches(self.settings, "plant-0004", "gw-1")
        with pytest.raises(EdgeError, match="need start_ms"):
            expected_batches(SimulatorSettings(batches=5), "plant-0001", "gw-1")
