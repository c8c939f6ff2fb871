"""Values and offsets of many sensors: small where sensors are calm, and every bit comes back."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.udfs.archive.chunks import values
from udfs.archive.packing import Reader, Writer
from udfs.archive.series import read_series, write_series
from udfs.archive.values import read_values, write_values

NAN_WITH_PAYLOAD = struct.unpack("<d", struct.pack("<Q", 0x7FF800000000BEEF))[0]

wholes = st.one_of(st.integers(-20, 20), st.integers(-(2**63), 2**63 - 1))


def starts_of(counts):
    return np.cumsum(counts) - counts


def packed_values(segments) -> bytes:
    """The bytes of these sensors' values, which have been read again."""
    value = np.array([v for s in segments for v in s], float)
    counts = np.array([len(s) for s in segments], np.intp)
    writer = Writer()
    write_values(writer, value, starts_of(counts))
    reader = Reader(writer.packed())
    assert read_values(reader, counts).tobytes() == value.tobytes()
    reader.end()
    return writer.packed()


def packed_series(segments) -> bytes:
    ints = np.array([v for s in segments for v in s], np.int64)
    counts = np.array([len(s) for s in segments], np.intp)
    writer = Writer()
    write_series(writer, ints, starts_of(counts))
    reader = Reader(writer.packed())
    assert read_series(reader, counts).tolist() == ints.tolist()
    reader.end()
    return writer.packed()


@given(st.lists(st.lists(wholes, min_size=1, max_size=9), max_size=8))
def test_all_whole_numbers_come_back(segments):
    packed_series(segments)


@given(st.lists(st.lists(values, min_size=1, max_size=9), max_size=8))
def test_all_bits_come_back(segments):
    packed_values(segments)


@pytest.mark.parametrize(
    "segment",
    [
        [np.nan],
        [NAN_WITH_PAYLOAD, np.nan, -np.nan],
        [-0.0, 0.0, -0.0],
        [np.inf, 1.5, -np.inf],
        [1e308, -1e308, 5e-324],
        [21.37, 1 / 3, 21.38],
    ],
)
def test_odd_values_between_calm_sensors(segment):
    packed_values([[1.5, 1.6], segment, [2.25]])


def noise(sensors: int, spread: float):
    return np.rint(np.random.default_rng(2).normal(0, spread, (sensors, 60))).astype(np.int64)


def test_noise_about_a_level_is_as_small_as_the_noise():
    steady = noise(2000, 20)
    assert len(packed_series(steady)) < 0.84 * steady.size  # log2(20 * 4.13) bits are 0.80 bytes


def test_what_drifts_is_as_small_as_its_changes():
    drifting = np.cumsum(noise(2000, 2), axis=1)
    assert len(packed_series(drifting)) < 0.46 * drifting.size  # log2(2 * 4.13) bits are 0.38 bytes


def test_loud_sensors_do_not_make_calm_ones_larger():
    calm, loud = noise(1000, 2), noise(1000, 5000)
    mixed = np.stack([calm, loud], axis=1).reshape(-1, 60)
    alone = len(packed_series(calm)) + len(packed_series(loud))
    assert len(packed_series(mixed)) < 1.02 * alone


def test_a_bad_reading_does_not_cost_its_whole_minute():
    good = noise(2000, 2) / 100 + 20
    bad = good.copy()
    bad[::2, 30], bad[1::2, 0] = np.nan, -0.0
    # where they are, and what they would have been
    assert len(packed_values(bad)) < len(packed_values(good)) + 4 * len(bad)


def test_a_bad_reading_is_not_taken_for_one_of_the_sensor_before():
    calm = noise(1000, 2) / 100 + 20
    calm[:, 0] = np.nan
    thirds = np.full((1000, 60), 1 / 3)
    mixed = np.stack([thirds, calm], axis=1).reshape(-1, 60)
    assert len(packed_values(mixed)) < len(packed_values(calm)) + 4 * len(calm)


def test_steps_of_single_precision_keep_their_low_zero_bits():
    single = (noise(2000, 300) / 1000 + 50).astype(np.float32).astype(float)
    assert len(packed_values(single)) < 3 * single.size
