"""Data files: what a file says of itself, and what is not written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import EqualTo, GreaterThanOrEqual
from pyiceberg.table import Table
from pyiceberg.types import TimestamptzType

from jobs.lake.commit import commit
from jobs.lake.errors import LakeError
from jobs.lake.files import data_files, discard, write_parquet
from tests.lake.chunk_rows import chunk_rows, minutes_in

HOUR = datetime(2026, 1, 31, 5, tzinfo=UTC)


@pytest.fixture
def chunks(catalog: Catalog) -> Table:
    return catalog.load_table("telemetry.chunks")


@pytest.fixture
def readings(catalog: Catalog) -> Table:
    return catalog.load_table("telemetry.readings")


def sensor_hours(slots: list[int]) -> pa.Table:
    n = len(slots)
    texts = {
        name: [name] * n for name in ("facility", "gateway", "sensor", "asset", "kind", "unit")
    }
    ints = {"part": [0] * n, "readings": [2] * n, "first_ms": [0] * n}
    lists = {"values": [[21, slot] for slot in slots], "minutes": [bytes(60)] * n, "scale": [2] * n}
    return pa.table(texts | ints | lists | {"slot": slots, "hour": [HOUR] * n})


def files_under(table: Table) -> list[Path]:
    return sorted(Path(table.location().removeprefix("file://")).glob("data/**/*.parquet"))


def test_a_file_knows_its_partition_its_rows_and_their_bounds(chunks: Table) -> None:
    made = write_parquet(chunks, chunk_rows([300, 359]), row_group_rows=1)
    (path,) = files_under(chunks)
    assert made.file_path == f"file://{path}"
    assert path.parent.name == "minute_hour=2026-01-31-05"
    assert list(made.partition) == ["plant-07", 491_621]
    assert (made.record_count, made.file_size_in_bytes) == (2, path.stat().st_size)
    assert made.split_offsets is not None
    assert len(made.split_offsets) == 2
    minute = chunks.schema().find_field("minute").field_id
    bounds = [
        from_bytes(TimestamptzType(), b[minute]) for b in (made.lower_bounds, made.upper_bounds)
    ]
    assert [bound // 60_000_000 % 1440 for bound in bounds] == [300, 359]
    assert chunks.schema().find_field("chunk").field_id not in made.lower_bounds


def test_columns_are_found_by_their_ids_and_are_not_compressed(chunks: Table) -> None:
    write_parquet(chunks, chunk_rows([1]), row_group_rows=1)
    file = pq.ParquetFile(files_under(chunks)[0])
    ids = [int(field.metadata[b"PARQUET:field_id"]) for field in file.schema_arrow]
    assert ids == [field.field_id for field in chunks.schema().fields]
    assert file.metadata.row_group(0).column(8).compression == "UNCOMPRESSED"


def test_rows_come_back_in_whatever_order_and_type_columns_came(readings: Table) -> None:
    rows = sensor_hours([7, 8])
    reversed_rows = rows.select(rows.column_names[::-1])
    commit(readings, add=[write_parquet(readings, reversed_rows, row_group_rows=8)])
    found = readings.scan().to_arrow()
    assert found["slot"].to_pylist() == [7, 8]
    assert found["hour"].to_pylist() == [HOUR, HOUR]
    assert found["values"].to_pylist() == [[21, 7], [21, 8]]
    assert found["doubles"].to_pylist() == [None, None]
    assert readings.inspect.files()["record_count"].to_pylist() == [2]


def test_options_of_the_writer(readings: Table) -> None:
    encoding = {"column_encoding": {"values.list.element": "DELTA_BINARY_PACKED"}}
    write_parquet(readings, sensor_hours([7]), row_group_rows=8, use_dictionary=False, **encoding)
    row_group = pq.ParquetFile(files_under(readings)[0]).metadata.row_group(0)
    columns = {row_group.column(i).path_in_schema: row_group.column(i) for i in range(18)}
    assert "DELTA_BINARY_PACKED" in columns["values.list.element"].encodings
    assert columns["values.list.element"].compression == "ZSTD"


def test_bounds_are_kept_only_where_they_say_something(readings: Table) -> None:
    made = write_parquet(readings, sensor_hours([7]), row_group_rows=8)
    named = {readings.schema().find_column_name(key) for key in made.lower_bounds}
    assert {"facility", "gateway", "slot", "hour", "part"} <= named
    assert not named & {"minutes", "values.element", "doubles.element", "times_ms.element"}


def test_pieces_are_written_as_they_come(chunks: Table) -> None:
    pieces = iter([chunk_rows([1, 2, 3]), chunk_rows([]), chunk_rows([4]).to_batches()[0]])
    made = write_parquet(chunks, pieces, row_group_rows=2)
    metadata = pq.ParquetFile(files_under(chunks)[0]).metadata
    assert [metadata.row_group(i).num_rows for i in range(3)] == [2, 1, 1]
    assert made.record_count == 4


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (chunk_rows([59, 60]), "rows of more than one partition: minute from 2026-01-31 00:59"),
        ([chunk_rows([1]), chunk_rows([61])], "rows of more than one partition"),
        ([chunk_rows([1]), chunk_rows([1], facility="plant-08")], "more than one partition"),
        (chunk_rows([]), "no rows to write"),
        (chunk_rows([1]).drop(["missing"]), r"unknown columns \[\], missing columns \['missing'\]"),
        (chunk_rows([1]).append_column("x", [[1]]), r"unknown columns \['x'\]"),
        ([chunk_rows([1]), chunk_rows([2]).drop(["missing"])], "missing columns"),
    ],
)
def test_what_is_no_file_of_the_table_leaves_nothing(
    chunks: Table, rows: pa.Table, problem: str
) -> None:
    with pytest.raises(LakeError, match=rf"^telemetry.chunks: .*{problem}"):
        write_parquet(chunks, rows, row_group_rows=2)
    assert files_under(chunks) == []


def test_null_where_the_table_wants_a_value_is_refused(chunks: Table) -> None:
    rows = chunk_rows([1]).set_column(1, "gateway", pa.array([None], pa.string()))
    with pytest.raises(LakeError, match=r"telemetry.chunks: .*gateway"):
        write_parquet(chunks, rows, row_group_rows=2)
    assert files_under(chunks) == []


def test_files_that_may_hold_rows_of_a_filter(chunks: Table) -> None:
    made = [
        write_parquet(chunks, chunk_rows([minute], facility=facility), row_group_rows=1)
        for facility, minute in (("a", 1), ("a", 61), ("b", 1))
    ]
    commit(chunks, add=made)
    before = chunks.current_snapshot()
    assert before is not None
    assert data_files(chunks) == sorted(made, key=lambda file: file.file_path)
    assert data_files(chunks, EqualTo("facility", "b")) == [made[2]]
    assert data_files(chunks, GreaterThanOrEqual("minute", "2026-01-31T01:00:00+00:00")) == [
        made[1]
    ]
    commit(chunks, remove=made[:2])
    assert data_files(chunks) == [made[2]]
    assert len(data_files(chunks, snapshot_id=before.snapshot_id)) == 3


def test_files_of_an_attempt_that_failed_are_deleted(chunks: Table) -> None:
    kept = write_parquet(chunks, chunk_rows([1]), row_group_rows=1)
    lost = write_parquet(chunks, chunk_rows([2]), row_group_rows=1)
    commit(chunks, add=[kept])
    discard(chunks, [lost])
    discard(chunks, [lost])
    assert [f"file://{path}" for path in files_under(chunks)] == [kept.file_path]
    assert minutes_in(chunks) == [1]
