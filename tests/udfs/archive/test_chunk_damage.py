"""Bytes that are no chunk, are damaged, or were made to do harm: always a ValueError."""

import struct
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.udfs.archive.chunks import batch, batches, chunk_of, contents, sealed, slots, with_small
from udfs.archive.chunk import MAX_READINGS, decode, encode

PARTS = [
    batch(1, [1.5, 2.5, -0.0], offset_ms=np.array([0, 5, 7], np.int32), traceparent="00-ab"),
    batch(2, [1.6, 1 / 3], sensor=slots(1, 9), quality=np.array([0, 2], np.uint8)),
]
DATA = encode(chunk_of(PARTS))
# of the same readings, by the first reader's writer: what is stored must stay readable
VERSION_1 = bytes.fromhex(
    "48494f43012adf677501000000a2020000d100000028b52ffd60a2013d060062871723a0298d013faaff7ff7"
    "73b5deead7e807dd3abbe5be1533c00e7a7f42729f58b2654a018daa7b00d253f04c18e816c5b828e852ab67"
    "d63a7f3f0489586b027cf45f134e3a7cd85047359dbbe7ae5fa403c2a06095880da33169124928ae39206083"
    "b66903030d26868465d9e96845b6b0e013d6880881cc18458219081282bdf1f5c8f28164368b8c32a6a50180"
    "6cb00407118c70079097a7c994256193040092c2a397c9641d887168d765898163a41d0d2109b84630f4fa0e"
    "7cc0322eb1580d34402c"
)
# 5,000 readings: sections of their own
LARGE = encode(chunk_of([batch(k, np.sin(np.arange(5000.0) + k)) for k in range(2)]))


def reads(data: bytes) -> bool:
    """Whether it is a chunk; anything but a ValueError fails the test."""
    try:
        decode(data)
    except ValueError:
        return False
    return True


def test_a_chunk_of_version_1_is_read():
    assert contents(decode(VERSION_1)) == contents(chunk_of(PARTS))


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
def test_every_flipped_byte_is_noticed(data):
    step = max(1, len(data) // 500)
    for place in range(0, len(data), step):
        damaged = bytearray(data)
        damaged[place] ^= 1 + place % 255
        assert not reads(bytes(damaged)), place


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
def test_every_cut_is_noticed(data):
    for size in range(0, len(data), max(1, len(data) // 500)):
        assert not reads(data[:size]), size
    assert not reads(data + b"\0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes are no chunk"),
        (b"PAR1" + DATA[4:], "it begins with b'PAR1', a chunk with b'HIOC'"),
        (DATA[:4] + b"\2" + DATA[5:], "a chunk of version 2; this reader knows 1"),
        (DATA[:-1] + b"x", "the chunk is damaged: its checksum is another"),
        (sealed(b""), "4 bytes expected, 0 are there"),
        (sealed(struct.pack("<I", 2**32 - 1)), "4294967295 sections; at most 16384 are possible"),
        (sealed(struct.pack("<III", 1, 2**31, 0)), "2147483648 bytes of small sections; at most"),
        (sealed(struct.pack("<III", 1, 8, 4) + b"zstd"), "not 8 bytes of zstd"),
        (sealed(DATA[9:] + b"x"), f"{len(DATA) - 9} bytes expected, {len(DATA) - 8} are there"),
        (with_small(DATA, lambda small: small.append(0)), "there is more than was expected"),
    ],
)
def test_what_is_wrong_is_said(data, words):
    with pytest.raises(ValueError, match=words):
        decode(data)


def replaced(old: int, new: int) -> bytes:
    """Every number `old` among the small sections is `new`."""

    def edit(small: bytearray) -> None:
        assert struct.pack("<q", old) in small
        small[:] = small.replace(struct.pack("<q", old), struct.pack("<q", new))

    return with_small(encode(chunk_of([batch(k, np.arange(777.0)) for k in range(3)])), edit)


@pytest.mark.parametrize("readings", [MAX_READINGS + 1, 2**40, 2**63 - 1, -1])
def test_nothing_is_allocated_for_readings_that_no_chunk_has(readings, monkeypatch):
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("allocated")

    data = replaced(3 * 777, readings)
    monkeypatch.setattr("udfs.archive.chunk.read_values", refuse)
    with pytest.raises(ValueError, match=f"is not between 0 and {MAX_READINGS}"):
        decode(data)


def test_fewer_readings_than_the_sensors_have():
    with pytest.raises(ValueError, match="the sensors do not ascend, or do not have all readings"):
        decode(replaced(3 * 777, 3 * 777 + 1))


@given(st.binary(max_size=200), st.booleans())
def test_other_bytes_are_no_chunk(body, seal):
    assert not reads(sealed(body) if seal else body)


@given(batches(), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1))
def test_whatever_the_small_sections_say_it_is_a_chunk_or_a_value_error(parts, edits):
    def edit(small: bytearray) -> None:
        for place, byte in edits:
            small[place % len(small)] = byte

    data = with_small(encode(chunk_of(parts)), edit)
    if reads(data):
        found = decode(data)
        assert len(found.sensor) == len(found.batch) == len(found.value) == len(found.times_ms())
        assert contents(decode(encode(found))) == contents(found)


@given(st.integers(9, len(LARGE) - 1), st.binary(min_size=1, max_size=8))
def test_whatever_the_large_sections_are_it_is_a_chunk_or_a_value_error(place, instead):
    body = bytearray(LARGE)
    body[place : place + len(instead)] = instead
    reads(sealed(bytes(body[9:])))
