"""Payloads: bytes written down by hand from the specification, and the two ways to read them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.registry import Sensor
from edge.sparkplug.content import Content, quality_of_code, read
from edge.sparkplug.decode import BadPayload, Decoder, parse
from edge.sparkplug.encode import DeviceEncoder, node_birth, node_death, rebirth_command
from edge.sparkplug.layout import Layout
from edge.sparkplug.messages import DataType, Payload
from edge.sparkplug.table import Entry, Table
from udfs.batch import Quality

NOW = 1_732_500_000_000  # 6 bytes as a varint: 80 9a b0 88 b6 32

DATATYPES = [*range(DataType.INT8, DataType.BOOLEAN + 1), DataType.STRING]
TABLE = Table([Entry(f"m{i}", i, DATATYPES[i % len(DATATYPES)], 100 + i) for i in range(24)])
# name only, a command, and what no birth explains
TABLE = Table([*TABLE.entries, Entry("named", None, DataType.DOUBLE, 200), Entry("text", 90, 12)])


def readings(content: Content) -> list[tuple[int, int, float, int]]:
    columns = (content.slot, content.time_ms, content.value, content.quality)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def same(one: Content, other: Content) -> None:
    for name in ("slot", "time_ms", "value", "quality", "historical"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    assert (one.seq, one.unknown, one.skipped) == (other.seq, other.unknown, other.skipped)


def test_bytes_written_by_hand() -> None:
    payload = bytes.fromhex(
        "08809ab088b632"  # timestamp
        "1212" "1003" "18819ab088b632" "690000000000803540"  # alias 3, its own time, 21.5
        "1208" "1001" "50feffffff0f"  # alias 1 (Int16): -2 as uint32
        "1206" "1004" "2008" "5807"  # alias 4, says UInt64 itself: 7
        "1204" "100a" "7001"  # alias 10, Boolean
        "1204" "1002" "3801"  # alias 2, null
        "18c801"  # seq 200
    )  # fmt: skip
    content = Decoder(TABLE).read(payload, received_ms=0)
    assert content.seq == 200
    assert readings(content)[:4] == [
        (103, NOW + 1, 21.5, Quality.GOOD),
        (101, NOW, -2.0, Quality.GOOD),
        (104, NOW, 7.0, Quality.GOOD),
        (110, NOW, 1.0, Quality.GOOD),
    ]
    assert content.slot[4] == 102
    assert np.isnan(content.value[4])
    assert content.quality[4] == Quality.BAD


def test_bytes_that_the_encoder_makes() -> None:
    made = DeviceEncoder([Sensor("flow")], first_alias=3).data(
        np.array([21.5]), np.array([NOW]), seq=200
    )
    assert made.hex() == (
        "08809ab088b632" "1212" "1003" "18809ab088b632" "690000000000803540" "18c801"
    )  # fmt: skip
    assert node_death(7).hex() == "120b" "0a056264536571" "2004" "5807"  # fmt: skip
    assert parse(node_birth(NOW, bd_seq=7)).metrics[0].long_value == 7
    assert parse(rebirth_command(NOW)).metrics[0].boolean_value is True


@pytest.mark.parametrize("bits, written, read_as", [
    (DataType.INT8, 0xFF, -1), (DataType.INT8, 0xFFFF_FFFF, -1), (DataType.INT8, 0x7F, 127),
    (DataType.INT16, 0x8000, -32768), (DataType.INT32, 0xFFFF_FFFE, -2),
    (DataType.UINT8, 0xFF, 255), (DataType.UINT32, 0xFFFF_FFFF, 4_294_967_295),
])  # fmt: skip
def test_integers_by_their_type(bits: int, written: int, read_as: int) -> None:
    payload = Payload(timestamp=NOW, seq=1)
    payload.metrics.add(alias=0, datatype=bits, int_value=written)
    decoder, data = Decoder(TABLE), payload.SerializeToString()
    assert decoder.read(data, 0).value.tolist() == [read_as]
    assert decoder._layouts[len(data)][0].read(data).value.tolist() == [read_as]


def test_long_integers_by_their_type() -> None:
    payload = Payload(timestamp=NOW, seq=1)
    payload.metrics.add(alias=0, datatype=DataType.INT64, long_value=2**64 - 5)
    payload.metrics.add(alias=1, datatype=DataType.UINT64, long_value=2**63)
    payload.metrics.add(alias=2, datatype=DataType.UINT32, long_value=3_000_000_000)
    data = payload.SerializeToString()
    decoder = Decoder(TABLE)
    expected = [-5.0, 2.0**63, 3e9]
    assert decoder.read(data, 0).value.tolist() == expected
    assert decoder._layouts[len(data)][0].read(data).value.tolist() == expected


@pytest.mark.parametrize("code, quality", [
    (192, Quality.GOOD), (216, Quality.GOOD), (0, Quality.BAD), (24, Quality.BAD),
    (64, Quality.UNCERTAIN), (128, Quality.UNCERTAIN), (500, Quality.UNCERTAIN),
    (256, Quality.BAD), (-1, Quality.BAD),
])  # fmt: skip
def test_quality_codes(code: int, quality: int) -> None:
    assert quality_of_code(code) == quality


def test_qualities_and_nulls_go_there_and_back() -> None:
    encoder = DeviceEncoder([Sensor("a"), Sensor("b"), Sensor("c")], first_alias=3)
    quality = np.array([Quality.GOOD, Quality.UNCERTAIN, Quality.BAD], np.uint8)
    value, times = np.array([1.0, 2.0, np.nan]), np.array([NOW, NOW + 1, NOW + 2])
    data = encoder.data(value, times, 5, quality)
    content = Decoder(TABLE).read(data, 0)
    np.testing.assert_array_equal(content.value, value)
    assert content.time_ms.tolist() == [NOW, NOW + 1, NOW + 2]
    assert content.quality.tolist() == quality.tolist()
    some = encoder.data(value[:1], times[:1], 6, metric=np.array([2], np.uint32), historical=True)
    content = Decoder(TABLE).read(some, 0)
    assert (content.slot.tolist(), content.historical.tolist()) == ([105], [True])


def test_an_array_is_a_waveform() -> None:
    table = Table([Entry("wave", 1, DataType.INT16_ARRAY, 7, period_ms=0.5)])
    payload = Payload(timestamp=NOW, seq=1)
    payload.metrics.add(alias=1, bytes_value=np.array([-1, 2], "<i2").tobytes())
    payload.metrics.add(alias=1, bytes_value=b"odd")
    content = Decoder(table).read(payload.SerializeToString(), 0)
    (wave,) = content.waveforms
    assert (wave.slot, wave.time_ms, wave.period_ms) == (7, NOW, 0.5)
    assert wave.samples.tolist() == [-1.0, 2.0]
    assert (len(content.value), content.skipped) == (0, 1)


def test_what_is_unknown_or_no_number_is_counted() -> None:
    payload = Payload(timestamp=NOW, seq=1)
    payload.metrics.add(alias=77, double_value=1)
    payload.metrics.add(alias=0, string_value="hot")
    payload.metrics.add(alias=90, string_value="a text is no sensor")
    payload.metrics.add(name="named", double_value=3)
    content = Decoder(TABLE).read(payload.SerializeToString(), 0)
    assert (content.unknown, content.skipped, content.slot.tolist()) == (1, 1, [200])


@pytest.mark.parametrize("payload", [b"\xff", b"\x12\x7f", b'{"value": 1}'])
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(BadPayload, match=f"{len(payload)} bytes, no Sparkplug B payload"):
        Decoder(TABLE).read(payload, 0)


# -- both ways the same

TIMES = st.one_of(st.integers(0, 2**64 - 1), st.integers(NOW, NOW + 10_000))
NUMBERS: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("int_value", st.integers(0, 2**32 - 1)),
    ("long_value", st.integers(0, 2**64 - 1)),
    ("float_value", st.floats(width=32)),
    ("double_value", st.floats()),
    ("boolean_value", st.booleans()),
]
ODD: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("string_value", st.text(max_size=3)),
    ("bytes_value", st.binary(max_size=3)),
    ("is_null", st.booleans()),
    ("is_historical", st.booleans()),
    ("is_transient", st.booleans()),
    ("name", st.sampled_from(["named", "m3", "other"])),
    ("datatype", st.integers(0, 34)),
    ("timestamp", TIMES),
]


@st.composite
def payloads(draw: st.DrawFn) -> Any:
    """Mostly what devices send, and some of everything else."""
    payload = Payload(seq=draw(st.integers(0, 255)))
    if draw(st.integers(0, 9)):
        payload.timestamp = draw(TIMES)
    for _ in range(draw(st.integers(0, 5))):
        metric = payload.metrics.add(alias=draw(st.integers(0, 24)), timestamp=NOW)
        name, value = draw(st.sampled_from(NUMBERS))
        setattr(metric, name, draw(value))
        if draw(st.integers(0, 5)) == 0:
            name, value = draw(st.sampled_from(ODD))
            setattr(metric, name, draw(value))
        if draw(st.integers(0, 5)) == 0:
            metric.properties.keys.append("Quality")
            metric.properties.values.add(int_value=draw(st.sampled_from([0, 64, 192, 500])))
    return payload


def change_values(draw: st.DrawFn, payload: Any) -> Any:
    """The same metrics some time later."""
    later = Payload.FromString(payload.SerializeToString())
    for metric in later.metrics:
        which = metric.WhichOneof("value")
        metric.timestamp += draw(st.integers(0, 1000)) if metric.timestamp < 2**63 else 0
        if which in dict(NUMBERS):
            setattr(metric, which, draw(dict(NUMBERS)[which]))
    return later


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_learned_layout_reads_what_the_general_way_reads(data: st.DataObject) -> None:
    first = data.draw(payloads())
    decoder = Decoder(TABLE)
    decoder.read(first.SerializeToString(), NOW)
    for _ in range(3):
        later = change_values(data.draw, first).SerializeToString()
        same(decoder.read(later, NOW), read(parse(later), TABLE, NOW))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_mutated_bytes_are_read_alike_or_refused_alike(data: st.DataObject) -> None:
    payload = data.draw(payloads()).SerializeToString()
    decoder = Decoder(TABLE)
    decoder.read(payload, NOW)
    mutated = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        if mutated:
            mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        expected = read(parse(bytes(mutated)), TABLE, NOW)
    except BadPayload:
        with pytest.raises(BadPayload):
            decoder.read(bytes(mutated), NOW)
    else:
        same(decoder.read(bytes(mutated), NOW), expected)


ROWS = st.tuples(st.floats(allow_nan=False), st.integers(0, 2**40))


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=9), st.integers(0, 255), st.integers(1, 200))
def test_a_patched_template_is_what_protobuf_writes(
    rows: list[tuple[float, int]], seq: int, first: int
) -> None:
    value, times = np.array([v for v, _ in rows]), np.array([NOW + t for _, t in rows])
    made = DeviceEncoder([Sensor(str(i)) for i in range(len(rows))], first).data(value, times, seq)
    payload = Payload(timestamp=int(times.max()), seq=seq)
    for alias, number, time_ms in zip(
        range(first, 300), value.tolist(), times.tolist(), strict=False
    ):
        payload.metrics.add(alias=alias, timestamp=time_ms, double_value=number)
    assert made == payload.SerializeToString()


SENT = "08809ab088b632"


@pytest.mark.parametrize("first, then", [
    ("1206" "1006" "50818000", "1206" "1006" "50828000"),  # longer than it need be
    ("1208" "1006" "508180808000", "1208" "1006" "50818080807f"),  # beyond 32 bits
    ("120d" "1001" "5881808080808080808001", "120d" "1001" "588180808080808080807f"),
    ("1205" "100a" "708100", "1205" "100a" "708000"),  # a boolean of two bytes
    ("1208" "100a" "708080808010", "1208" "100a" "708080808011"),
    ("1206" "1001" "5001" "5002", "1206" "1001" "5003" "5004"),  # one field twice
    ("1206" "1001" "5001" "5801", "1206" "1001" "5003" "5801"),  # two values
    ("1206" "1001" "5001" "3801", "1206" "1001" "5002" "3801"),  # null, and a value
    ("1204" "1001" "5001" "1802" "1801", "1204" "1001" "5001" "1803" "1804"),  # two numbers
])  # fmt: skip
def test_odd_forms_mean_the_same_both_ways(first: str, then: str) -> None:
    decoder = Decoder(TABLE)
    decoder.read(bytes.fromhex(SENT + first), NOW)
    later = bytes.fromhex(SENT + then)
    same(decoder.read(later, NOW), read(parse(later), TABLE, NOW))


# -- learning


def test_nulls_and_historical_readings_are_learned_too() -> None:
    encoder = DeviceEncoder([Sensor(str(i)) for i in range(3)], first_alias=0)
    decoder = Decoder(TABLE)
    for turn in range(3):
        value = np.array([1.0, np.nan, turn])
        data = encoder.data(value, np.full(3, NOW), 7, historical=True)
        content = decoder.read(data, 0)
        np.testing.assert_array_equal(content.value, value)
        assert content.historical.tolist() == [True] * 3
    assert decoder._misses == 1


def test_the_steady_state_takes_the_fast_way() -> None:
    encoder = DeviceEncoder([Sensor(str(i)) for i in range(20)], first_alias=0)
    decoder = Decoder(TABLE)
    rng = np.random.default_rng(1)
    for seq in range(256):
        values, times = rng.normal(size=20), NOW + rng.integers(0, 1000, 20)
        content = decoder.read(encoder.data(values, times, seq), 0)
        assert content.value.tolist() == values.tolist()
        assert content.seq == seq
    assert decoder._misses == 2  # numbers of one byte, and of two


def test_a_device_that_says_other_metrics_each_time_is_not_learned_for_ever() -> None:
    encoder = DeviceEncoder([Sensor(str(i)) for i in range(20)], first_alias=0)
    decoder, learned = Decoder(TABLE), []
    learn = Layout.learn
    Layout.learn = lambda *args: learned.append(1) or learn(*args)  # type: ignore[method-assign]
    try:
        rng = np.random.default_rng(1)
        for _ in range(256):
            some = rng.choice(20, 5, replace=False)
            decoder.read(encoder.data(rng.normal(size=5), np.full(5, NOW), 7, metric=some), 0)
    finally:
        Layout.learn = learn  # type: ignore[method-assign]
    assert len(learned) == 8 + 4
    assert sum(map(len, decoder._layouts.values())) <= 8
