"""Every kind of record that must become a dead letter, with the reason that it must get."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from udfs.batch import MAX_OFFSET_MS, Batch, Lane, Reason, encode

SENSORS = 50  # of the catalogue, version 1, that the gateway published
LENGTH = 7  # readings of the usual bad batch; a number that its bytes hold nowhere else

Case = tuple[str, Reason, bytes]
Columns = Sequence[tuple[str, pa.Array]]


def good_batch(facility: str, gateway: str, now_ms: int, **changes: Any) -> Batch:
    """A batch that would be admitted, were it not for the changes."""
    value = np.linspace(20.25, 21.5, LENGTH)
    return Batch(**{
        "facility": facility, "gateway": gateway, "epoch": 1, "sequence": 10**6,
        "time_ms": now_ms - 2000, "value": value, "sent_ms": now_ms - 900, **changes,
    })  # fmt: skip


def header_of(batch: Batch) -> dict[str, str]:
    """The metadata that `encode` writes."""
    schema = pa.ipc.open_stream(encode(batch)).schema
    return {key.decode(): value.decode() for key, value in schema.metadata.items()}


def stream(
    columns: Columns,
    metadata: dict[str, str] | dict[bytes, bytes],
    batches: int = 1,
    custom: dict[str, str] | None = None,
    **options: Any,
) -> bytes:
    """An Arrow IPC stream of any shape, good or bad."""
    names, arrays = [name for name, _ in columns], [array for _, array in columns]
    schema = pa.schema(list(zip(names, [a.type for a in arrays], strict=True)), metadata=metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for _ in range(batches):
            record = pa.RecordBatch.from_arrays(arrays, schema=schema)
            writer.write_batch(record, custom_metadata=custom)
    return bytes(sink.getvalue())


def bad_records(facility: str, gateway: str, now_ms: int) -> dict[str, tuple[Reason, bytes]]:
    """Records for topic `readings.<facility>`, key `gateway`, by name: the reason, the bytes.

    The gateway has published catalogue 1, of SENSORS sensors. now_ms: the reader's clock.
    """
    good = good_batch(facility, gateway, now_ms)
    makers = (_not_arrow, _cut, _headers, _columns, _hidden, _out_of_place, _lying, _unsorted)
    return {name: (reason, data) for make in makers for name, reason, data in make(good)}


def _not_arrow(good: Batch) -> Iterator[Case]:
    yield "empty", Reason.NOT_ARROW, b""
    yield "random bytes", Reason.NOT_ARROW, random.Random(7).randbytes(1000)
    yield "json", Reason.NOT_ARROW, b'{"value": [1.5, 2.5]}'
    yield "zeros", Reason.NOT_ARROW, bytes(64)
    yield "an endless length", Reason.NOT_ARROW, struct.pack("<II", 0xFFFFFFFF, 0x7FFFFFFF)
    header, sink = header_of(good), pa.BufferOutputStream()
    columns = [("value", pa.array(good.value))]
    schema = pa.schema([("value", pa.float64())], metadata=header)
    with pa.ipc.new_file(sink, schema):
        pass
    yield "an Arrow file", Reason.NOT_ARROW, bytes(sink.getvalue())
    yield "a schema alone", Reason.NOT_ARROW, stream(columns, header, batches=0)
    yield "two record batches", Reason.NOT_ARROW, stream(columns, header, batches=2)
    yield "more than the stream", Reason.NOT_ARROW, encode(good) + b"x"


def _cut(good: Batch) -> Iterator[Case]:
    data = encode(good)
    for length in (1, 4, 8, 100, len(data) // 2, len(data) - 20, len(data) - 9, len(data) - 3):
        yield f"cut at {length} of {len(data)}", Reason.NOT_ARROW, data[:length]
    yield "without its beginning", Reason.NOT_ARROW, data[8:]


def _headers(good: Batch) -> Iterator[Case]:
    header, columns = header_of(good), [("value", pa.array(good.value))]
    for name, contract in (
        ("a higher version", "hardiot.readings.v2"),
        ("another contract", "hardiot.rollup.v1"),
        ("no version", "hardiot.readings"),
        ("an endless contract", "x" * 5000),
    ):
        changed = header | {"contract": contract}
        yield name, Reason.UNKNOWN_CONTRACT, stream(columns, changed)
    yield "no header", Reason.UNKNOWN_CONTRACT, stream(columns, {})
    not_utf8 = {b"contract": b"\xff\xfe"}
    yield "a header that is not UTF-8", Reason.BAD_HEADER, stream(columns, not_utf8)
    for key, value in (
        ("epoch", "-1"), ("sequence", "1.5"), ("sequence", ""), ("time_ms", "now"),
        ("time_ms", " 1"), ("sent_ms", "1_0"), ("sent_ms", "٣"), ("catalogue", "+1"),
        ("sequence", "1" * 19), ("lane", "alerts"), ("lane", ""), ("facility", "../etc"),
        ("facility", "Plant"), ("gateway", ""), ("gateway", "a" * 64),
    ):  # fmt: skip
        changed = header | {key: value}
        yield f"{key} = {value!r:.30}", Reason.BAD_HEADER, stream(columns, changed)
    for key in header.keys() - {"contract", "traceparent"}:
        rest = {name: value for name, value in header.items() if name != key}
        yield f"no {key}", Reason.BAD_HEADER, stream(columns, rest)


def _columns(good: Batch) -> Iterator[Case]:
    header, value = header_of(good), ("value", pa.array(good.value))
    slots = pa.array(range(LENGTH), pa.uint32())
    holes = pa.array([0, 1, None, 3, 4, 5, 6], pa.uint32())
    for name, columns in {
        "no column": [],
        "no value": [("sensor", slots)],
        "value in float32": [("value", pa.array(good.value, pa.float32()))],
        "value in texts": [("value", pa.array(["1.5"] * LENGTH))],
        "value in lists": [("value", pa.array([[1.5]] * LENGTH))],
        "value in structs": [("value", pa.array([{"x": 1.5}] * LENGTH))],
        "value in a dictionary": [("value", pa.array(good.value).dictionary_encode())],
        "value run-end encoded": [("value", pa.compute.run_end_encode(value[1]))],
        "value without anything": [("value", pa.nulls(LENGTH))],
        "value twice": [value, value],
        "sensor twice": [value, ("sensor", slots), ("sensor", slots)],
        "sensor in int32": [value, ("sensor", slots.cast(pa.int32()))],
        "sensor in uint64": [value, ("sensor", slots.cast(pa.uint64()))],
        "sensor with nulls": [value, ("sensor", holes)],
        "offset_ms in int64": [value, ("offset_ms", slots.cast(pa.int64()))],
        "offset_ms with nulls": [value, ("offset_ms", holes.cast(pa.int32()))],
        "quality in int8": [value, ("quality", slots.cast(pa.int8()))],
        "quality with nulls": [value, ("quality", holes.cast(pa.uint8()))],
    }.items():
        yield name, Reason.BAD_COLUMNS, stream(columns, header)
    offsets = np.zeros(LENGTH, np.int32)
    for name, offset in (
        ("a negative offset", -1),
        ("an offset out of the tick", MAX_OFFSET_MS),
        ("the least offset", -(2**31)),
        ("the largest offset", 2**31 - 1),
    ):
        offsets[3] = offset
        changed = _with(good, offset_ms=offsets.copy())
        yield name, Reason.BAD_COLUMNS, encode(changed)


def _hidden(good: Batch) -> Iterator[Case]:
    """Bodies that PyArrow would inflate: 2 MB can hold gigabytes."""
    header = header_of(good)
    columns = [("value", pa.array(np.zeros(1000)))]
    for codec in ("zstd", "lz4"):
        yield f"body by {codec}", Reason.BAD_COLUMNS, stream(columns, header, compression=codec)
    yield (
        "body by the key of old",
        Reason.BAD_COLUMNS,
        stream(
            columns,
            header,
            custom={"ARROW:experimental_compression": "zstd"},
            metadata_version=pa.ipc.MetadataVersion.V4,
        ),
    )
    tags = ("tag", pa.array(["a", "b"] * 500).dictionary_encode())
    yield "a dictionary beside value", Reason.NOT_ARROW, stream([*columns, tags], header)


def _out_of_place(good: Batch) -> Iterator[Case]:
    now_ms, hour_ms = good.time_ms + 2000, 3_600_000
    many = np.arange(524_288.0)  # 4 MB
    for name, reason, changes in (
        ("4 MB", Reason.TOO_LARGE, {"value": many}),
        ("another facility", Reason.WRONG_FACILITY, {"facility": good.facility + "-2"}),
        ("another gateway", Reason.UNKNOWN_GATEWAY, {"gateway": good.gateway + "-2"}),
        ("an unknown catalogue", Reason.UNKNOWN_CATALOGUE, {"catalogue": 99}),
        ("in an hour", Reason.FUTURE_TIME, {"time_ms": now_ms + hour_ms}),
        ("in a million years", Reason.FUTURE_TIME, {"time_ms": 10**18 - 1}),
        ("a backlog on the live topic", Reason.BAD_HEADER, {"lane": Lane.BACKLOG}),
        ("more values than slots", Reason.SLOT_OUT_OF_RANGE, {"value": np.zeros(SENSORS + 1)}),
        ("a slot past the last", Reason.SLOT_OUT_OF_RANGE, {"sensor": _slots(last=SENSORS)}),
        ("the largest slot", Reason.SLOT_OUT_OF_RANGE, {"sensor": _slots(last=2**32 - 1)}),
    ):  # fmt: skip
        yield name, reason, encode(_with(good, **changes))


def _lying(good: Batch) -> Iterator[Case]:
    """Lengths that are not those of the buffers: believed, they end the process."""
    header = header_of(good)
    holes = pa.array([1.5, None, *good.value[2:]], pa.float64())
    endless = struct.pack("<q", 2**36)
    for name, column, nulls, lie in (
        ("endless", pa.array(good.value), 0, endless + struct.pack("<q", 0)),
        ("endless with nulls", holes, 1, endless + struct.pack("<q", 1)),
        ("endless, nulls unknown", holes, 1, endless + struct.pack("<q", -1)),
        ("negative", pa.array(good.value), 0, struct.pack("<qq", -5, 0)),
        ("more nulls than values", holes, 1, struct.pack("<qq", LENGTH, 2**40)),
    ):
        data = stream([("value", column)], header)
        node = struct.pack("<qq", LENGTH, nulls)
        assert data.count(node) == 1
        data = data.replace(node, lie)
        yield name, Reason.NOT_ARROW, data.replace(struct.pack("<q", LENGTH), lie[:8])


def _unsorted(good: Batch) -> Iterator[Case]:
    slots = np.array([0, 1, 2, 3, 4, 6, 5], np.uint32)
    yield "unsorted slots", Reason.SLOTS_NOT_ASCENDING, encode(_with(good, sensor=slots))
    slots, offsets = np.array([0, 1, 2, 3, 4, 5, 5], np.uint32), np.zeros(LENGTH, np.int32)
    offsets[5] = 20
    unsorted = _with(good, sensor=slots, offset_ms=offsets)
    yield "unsorted times of a sensor", Reason.SLOTS_NOT_ASCENDING, encode(unsorted)


def _slots(last: int) -> np.ndarray:
    return np.array([*range(LENGTH - 1), last], np.uint32)


def _with(good: Batch, **changes: Any) -> Batch:
    fields = {name: getattr(good, name) for name in Batch.__dataclass_fields__}
    return Batch(**fields | changes)
