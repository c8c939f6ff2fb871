"""Blocks of readings from one Parquet or CSV file, long or wide."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from jobs.common.history import EVER_MS, HistoryError
from udfs.batch import Bools, Floats, Quality
from udfs.conditions.latch import Ints
from udfs.rules.rows import QUALITIES

_BLOCK_ROWS = 1 << 16
_BLOCK_BYTES = 1 << 20
_TIMES = ("time", "timestamp", "datetime", "time_ms", "ts", "date")
_TEXTS = ("sensor", "asset", "kind", "unit", "asset_type", "tags")
_PERIOD = "period_ms"
# before this, a number of milliseconds is more likely one of seconds
_EARLIEST_MS = 100_000_000_000

T = TypeVar("T", str, int)


@dataclass(slots=True)
class Block:
    """Readings, n of them. names: of sensors; code: int64, each reading's place in `names`.

    words: asset, kind, unit, asset_type and tags, where the file has them: one word for each of
    `names`, or "". period_ms: sampling period of each of `names`, 0 where the file does not say it.
    """

    time: Ints
    code: npt.NDArray[np.int64]
    value: Floats
    names: list[str]
    quality: npt.NDArray[np.uint8] | None = None
    words: dict[str, list[str]] = field(default_factory=dict)
    period_ms: list[int] | None = None


def open_blocks(path: Path, from_ms: int = -EVER_MS, to_ms: int = EVER_MS) -> Iterator[Block]:
    """The readings of a file from `from_ms` to before `to_ms`. Raises: HistoryError."""
    try:
        tables = _parquet(path, from_ms, to_ms) if path.suffix == ".parquet" else _csv(path)
        for table in tables:
            if table.num_rows:
                yield _block(path, table, from_ms, to_ms)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path}: cannot be read: {str(error)[:300]}") from None


def _parquet(path: Path, from_ms: int, to_ms: int) -> Iterator[pa.RecordBatch]:
    """Row groups whose statistics lie in the span; texts as dictionaries."""
    texts = [name for name in pq.read_schema(path).names if name in _TEXTS]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        time = _time_column(path, file.schema_arrow.names)
        at = file.schema_arrow.names.index(time)
        groups = [
            group
            for group in range(file.num_row_groups)
            if _may_hold(file.metadata.row_group(group).column(at).statistics, from_ms, to_ms)
        ]
        if groups:
            yield from file.iter_batches(_BLOCK_ROWS, row_groups=groups)


def _may_hold(statistics: Any, from_ms: int, to_ms: int) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    low, high = (_to_ms(pa.array([each])) for each in (statistics.min, statistics.max))
    return bool(high[0] >= from_ms and low[0] < to_ms)


def _csv(path: Path) -> Iterator[pa.RecordBatch]:
    """Blocks of a CSV file; the first one decides which columns are numbers."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        head = file.readline().decode("utf-8-sig")
    separator = max(",;\t", key=head.count)
    options: dict[str, Any] = {
        "read_options": pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
        "parse_options": pa_csv.ParseOptions(delimiter=separator),
    }
    with pa_csv.open_csv(path, **options) as first:
        schema = first.schema
    time = _time_column(path, schema.names)
    types = {f.name: kind for f in schema if (kind := _csv_type(f, time)) is not None}
    convert = pa_csv.ConvertOptions(column_types=types, include_columns=[time, *types])
    with pa_csv.open_csv(path, convert_options=convert, **options) as reader:
        yield from reader


def _csv_type(column: pa.Field, time: str) -> pa.DataType | None:
    """What a column is read as; None: left out (but for the time, which is as it was found)."""
    if column.name == time:
        return None
    if column.name in _TEXTS:
        return pa.dictionary(pa.int32(), pa.string())
    if pa.types.is_string(column.type):
        return column.type if column.name == "quality" else None
    # a column that is empty at first may hold numbers later
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    return pa.float64() if numeric or pa.types.is_null(column.type) else None


def _time_column(path: Path, names: list[str]) -> str:
    found = next((name for name in names if name.lower() in _TIMES), None)
    if found is None:
        raise HistoryError(
            f"{path}: no column of time among {', '.join(names[:8])}; call it {_TIMES[0]}"
        )
    return found


def _block(path: Path, table: pa.RecordBatch, from_ms: int, to_ms: int) -> Block:
    name = _time_column(path, table.schema.names)
    column = table.column(name)
    there = np.asarray(pc.is_valid(column))
    time = _to_ms(pc.fill_null(column, 0) if column.null_count else column)
    if len(time) and 0 < time.max() < _EARLIEST_MS:
        raise HistoryError(f"{path}: column {name} is not in milliseconds since 1970")
    keep = there & (time >= from_ms) & (time < to_ms)
    if {"sensor", "value"} <= set(table.schema.names):
        return _long(table, time, keep)
    return _wide(path, table, time, keep, name)


def _to_ms(column: pa.Array) -> Ints:
    """Times as UTC epoch ms; numbers are that already."""
    if pa.types.is_string(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms", column.type.tz), safe=False)
    return np.asarray(column.cast(pa.int64())).astype(np.int64, copy=False)


def _long(table: pa.RecordBatch, time: Ints, keep: Bools) -> Block:
    sensor = _dictionary(table.column("sensor"))
    keep = keep & np.asarray(pc.is_valid(sensor))
    value = _floats(table.column("value"))
    code = np.asarray(pc.fill_null(sensor.indices, 0)).astype(np.int64)
    quality = _quality(table.column("quality")) if "quality" in table.schema.names else None
    names: list[str] = sensor.dictionary.to_pylist()
    first = _First(code, len(names))
    words = {
        name: first.words(_dictionary(table.column(name)))
        for name in _TEXTS[1:]
        if name in table.schema.names
    }
    period_ms = first.numbers(table.column(_PERIOD)) if _PERIOD in table.schema.names else None
    if keep.all():
        return Block(time, code, value, names, quality, words, period_ms)
    some = None if quality is None else quality[keep]
    return Block(time[keep], code[keep], value[keep], names, some, words, period_ms)


def _dictionary(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _floats(column: pa.Array) -> Floats:
    """A null is no number, and judged as bad."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _quality(column: pa.Array) -> npt.NDArray[np.uint8] | None:
    """Codes of codes or words; what is unknown is bad, what is left out is good."""
    if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type):
        words = _dictionary(column)
        known = {"": Quality.GOOD, **QUALITIES}
        codes = [known.get(word.lower(), Quality.BAD) for word in words.dictionary.to_pylist()]
        table = np.array([*codes, Quality.GOOD], np.uint8)
        quality = table[np.asarray(pc.fill_null(words.indices, len(codes)))]
    else:
        given = np.asarray(pc.fill_null(column, Quality.GOOD))
        allowed = np.isin(given, list(QUALITIES.values()))
        quality = np.where(allowed, given, Quality.BAD).astype(np.uint8)
    return quality if quality.any() else None


class _First:
    """What the first row of each sensor says of it."""

    def __init__(self, code: npt.NDArray[np.int64], sensors: int) -> None:
        row = np.full(sensors, -1)
        row[code[::-1]] = np.arange(len(code))[::-1]  # of equal codes the last one stays: the first
        self._there = np.flatnonzero(row >= 0).tolist()
        self._row = pa.array(row[row >= 0])
        self._sensors = sensors

    def words(self, column: pa.DictionaryArray) -> list[str]:
        """A word for each sensor, empty for one that has none."""
        return self._of_each(column, "")

    def numbers(self, column: pa.Array) -> list[int]:
        """A whole number for each sensor, 0 for one that has none."""
        return self._of_each(column.cast(pa.int64(), safe=False), 0)

    def _of_each(self, column: pa.Array, none: T) -> list[T]:
        found = [none] * self._sensors
        for sensor, said in zip(self._there, column.take(self._row).to_pylist(), strict=True):
            found[sensor] = said or none
        return found


def _wide(path: Path, table: pa.RecordBatch, time: Ints, keep: Bools, name: str) -> Block:
    """A column a sensor. An empty cell is no reading."""
    names = [
        f.name
        for f in table.schema
        if f.name != name and (pa.types.is_floating(f.type) or pa.types.is_integer(f.type))
    ]
    if not names:
        raise HistoryError(f"{path}: no column sensor and value, and no other column of numbers")
    value = np.stack([_floats(table.column(each)) for each in names], axis=1)[keep]
    there = ~np.isnan(value)
    code = np.broadcast_to(np.arange(len(names)), value.shape)
    stamp = np.broadcast_to(time[keep][:, None], value.shape)
    return Block(stamp[there], code[there], value[there], names)
