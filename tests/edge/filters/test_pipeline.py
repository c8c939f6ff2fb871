"""From blocks to batches with all steps, and across a restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.block import Block, Waveform
from edge.errors import EdgeError
from edge.filters.pipeline import Pipeline
from edge.filters.settings import FilterSettings
from edge.registry import Registry, Sensor
from edge.settings import TickSettings
from edge.ticks import Ticks
from udfs.batch import Batch, check, decode, encode
from udfs.state import pack, unpack

T0 = 1_700_000_000_000
EVERYTHING = {
    "filters": [
        {"names": ["s1"], "stuck": {"stuck_s": 3}},
        {"kinds": ["pressure"], "deadband": {"absolute": 0.5, "heartbeat_s": 5}},
        {"kinds": ["temperature"], "downsample": "mean", "validity": "drop"},
        {"kinds": ["vibration"], "features": {"window_s": 2}},
    ]
}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry.open(tmp_path, "plant-07", "gw-1")
    kinds = ("pressure", "pressure", "temperature", "vibration")
    for number, kind in enumerate(kinds):
        registry.slot(Sensor(f"s{number}", kind=kind, low=0, high=100, period_ms=100))
    registry.commit()
    return registry


class Line:
    """Ticks and a pipeline, fed with rows of slot, ms after T0 and value."""

    def __init__(self, registry: Registry, settings: dict | None = None) -> None:
        self.registry = registry
        self.ticks = Ticks(TickSettings())
        self.pipeline = Pipeline(FilterSettings.model_validate(settings or {}), registry, 1000)

    def offer(self, *rows: tuple[int, int, float], at: int, source: str = "a", **more) -> None:
        slot, time, value = zip(*rows, strict=True) if rows else ((), (), ())
        block = Block(
            np.array(slot, np.uint32), np.array(time, np.int64) + T0, np.array(value, float),
            np.zeros(len(rows), np.uint8), source, T0 + at, **more,
        )  # fmt: skip
        self.ticks.offer(self.pipeline.clock(block, T0 + at))

    def close(self, at: int) -> list[Batch]:
        self.registry.commit()
        version = self.registry.newest
        batches = [
            self.pipeline.batch(tick, version, "plant-07", "gw-1")
            for tick in self.ticks.close(T0 + at)
        ]
        for batch in batches:
            check(decode(encode(batch)), "plant-07", len(self.registry.version(version)), T0 + at)
        return batches


def rows(batch: Batch) -> list[tuple[int, int, float, int]]:
    n = len(batch)
    offset = np.zeros(n, np.int64) if batch.offset_ms is None else batch.offset_ms
    quality = np.zeros(n, np.uint8) if batch.quality is None else batch.quality
    columns = (batch.slots(), batch.time_ms - T0 + offset, batch.value, quality)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_plain_tick_is_eight_bytes_a_reading(registry: Registry):
    line = Line(registry)
    line.offer((2, 0, 7), (0, 0, 5), at=10)
    line.offer((3, 0, 8), (1, 0, 6), at=20)
    (batch,) = line.close(1150)
    assert (batch.sensor, batch.offset_ms, batch.quality) == (None, None, None)
    assert (batch.time_ms, batch.value.tolist(), batch.catalogue) == (T0, [5, 6, 7, 8], 1)
    assert +line.pipeline.counts == {}


def test_a_tick_that_is_not_plain(registry: Registry):
    line = Line(registry)
    line.offer((3, 900, 101), (0, 10, 5), (0, 5, 4), (0, 10, 99), at=910)
    (batch,) = line.close(1150)
    assert rows(batch) == [(0, 5, 4, 0), (0, 10, 5, 0), (3, 900, 101, 2)]
    assert +line.pipeline.counts == {"duplicate_in_tick": 1, "flagged_out_of_range": 1}
    (empty,) = line.close(2150)
    assert (len(empty), empty.time_ms) == (0, T0 + 1000)


def test_all_slots_but_not_of_the_newest_catalogue_are_named(registry: Registry):
    line = Line(registry)
    registry.slot(Sensor("s4"))
    line.offer(*[(slot, 0, 5.0) for slot in range(4)], at=10)
    (batch,) = line.close(1150)
    assert batch.sensor.tolist() == [0, 1, 2, 3]


def test_a_message_that_comes_again_after_a_kill_is_known(registry: Registry):
    """The checkpoint is older than the last two batches; the spool holds them."""
    line = Line(registry, EVERYTHING)
    fields, batches = b"", []
    for second in range(6):
        line.offer(*[(slot, second * 1000, second * 3.0) for slot in range(3)], at=second * 1000)
        batches += line.close(second * 1000 + 1150)
        if second == 3:
            fields = pack("edge", 1, line.pipeline.to_fields())
    later = Line(Registry.open(registry._folder, "plant-07", "gw-1"), EVERYTHING)
    later.pipeline.from_fields(unpack(fields, "edge")[1])
    for batch in batches[4:]:
        later.pipeline.replay(batch)
    later.ticks.start(batches[-1].time_ms)
    assert later.close(8000) == []
    later.offer(*[(slot, 4000, 12.0) for slot in range(3)], at=8000)
    later.offer(*[(slot, 5000, 15.0) for slot in range(3)], at=8000)
    later.offer(*[(slot, 6000, 15.1) for slot in range(3)], at=8000)
    again = later.close(8200)
    # s0 and s1 lie inside the deadband of what was sent before the kill
    assert [(batch.time_ms - T0, rows(batch)) for batch in again] == [
        (4000, []),
        (6000, [(2, 6000, 15.1, 0)]),
        (7000, []),
    ]
    assert +later.pipeline.counts == {"repeat": 6, "deadband": 2}


def test_the_same_input_gives_the_same_batches(registry: Registry):
    def run() -> list[bytes]:
        line = Line(registry, EVERYTHING)
        rng = np.random.default_rng(3)
        out = []
        for second in range(30):
            times = second * 1000 + rng.integers(-3000, 1000, 20)
            slots = rng.integers(0, 4, 20)
            values = rng.integers(0, 3, 20) * 60.0
            line.offer(*zip(slots, times, values, strict=True), at=second * 1000 + 1000)
            out += [encode(batch) for batch in line.close(second * 1000 + 1150)]
        return out

    first = run()
    assert first == run()
    assert len(first) > 30


def test_every_reading_is_sent_or_counted(registry: Registry):
    line = Line(registry, EVERYTHING)
    rng = np.random.default_rng(5)
    offered = told = 0
    for second in range(60):
        n = int(rng.integers(1, 60))
        times = second * 1000 + rng.integers(-15_000, 1000, n) // 10 * 10
        values = np.where(rng.random(n) < 0.1, np.nan, rng.integers(-20, 130, n))
        line.offer(*zip(rng.integers(0, 4, n), times, values, strict=True), at=second * 1000 + 1000)
        offered += n
        told += sum(len(batch) for batch in line.close(second * 1000 + 1150))
    told += sum(len(batch) for batch in line.close(70_000))
    counts = line.pipeline.counts
    dropped = ("duplicate_in_tick", "repeat", "out_of_range", "not_finite", "windowed",
               "downsampled", "deadband")  # fmt: skip
    assert all(counts[reason] for reason in dropped)
    assert offered == told + sum(counts[reason] for reason in dropped)
    assert line.ticks.held == 0


def test_features_bring_sensors_that_are_committed_before_their_batch(registry: Registry):
    line = Line(registry, EVERYTHING)
    assert [s.name for s in registry.sensors()[4:]] == [
        "s3.rms", "s3.peak", "s3.crest", "s3.kurtosis",
    ]  # fmt: skip
    for second in range(2):
        line.offer(
            *[(3, second * 1000 + t, t % 200 / 50 + 1) for t in range(0, 1000, 100)],
            at=second * 1000 + 950,
        )
    batches = line.close(2150)
    assert [row[:2] for row in rows(batches[1])] == [(slot, 1999) for slot in range(4, 8)]
    # a restart finds the derived sensors and makes no features of features
    Line(Registry.open(registry._folder, "plant-07", "gw-1"), EVERYTHING)
    assert len(registry) == 8


def test_a_waveform_without_settings_brings_features_too(registry: Registry):
    line = Line(registry)
    wave = Waveform(3, T0 + 500, np.sin(np.arange(100.0)) * 5, 1.0)
    line.offer(at=600, waveforms=(wave,))
    (batch,) = line.close(1150)
    assert [row[:2] for row in rows(batch)] == [(slot, 500) for slot in range(4, 8)]
    assert batch.catalogue == 2
    assert +line.pipeline.counts == {"waveforms": 1}


def test_clocks_units_and_empty_blocks(registry: Registry, tmp_path: Path):
    line = Line(registry)
    line.offer(at=0)
    line.offer((0, 3_600_000, 5), at=100, source="ahead")
    assert not line.pipeline.set_conversion(1, "psi")  # s1 has no unit: nothing to convert to
    line.offer((1, 200, 5), at=210, source="right")
    (batch,) = line.close(1150)
    assert rows(batch) == [(0, 100, 5, 4), (1, 200, 5, 1)]
    assert line.pipeline.clock_offsets == {"ahead": 100 - 3_600_000}


def test_a_window_that_ends_inside_a_tick_is_refused_at_start(registry: Registry):
    with pytest.raises(EdgeError) as error:
        Line(registry, {"filters": [{"features": {"window_s": 1.5}}]})
    assert "window_s 1.5 is not a multiple of the tick, 1000 ms" in str(error.value)
