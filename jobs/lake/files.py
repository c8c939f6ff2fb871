"""Data files of a table: which there are, and new ones.

old = data_files(table, EqualTo("facility", "plant-07"))
made = write_parquet(table, rows, row_group_rows=8)     # in no snapshot until `commit`
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionFieldValue, PartitionKey
from pyiceberg.table import Table

from jobs.lake.errors import LakeError

Rows: TypeAlias = "pa.Table | Iterable[pa.Table | pa.RecordBatch]"

_ALL = AlwaysTrue()
_CODEC = "write.parquet.compression-codec"


def data_files(
    table: Table, row_filter: BooleanExpression = _ALL, snapshot_id: int | None = None
) -> list[DataFile]:
    """Live files that may hold rows of the filter, with partition values and bounds, by path.

    Args: snapshot_id: as the table was then; None: as `table` was loaded.
    """
    tasks = table.scan(row_filter=row_filter, snapshot_id=snapshot_id).plan_files()
    return sorted((task.file for task in tasks), key=lambda file: file.file_path)


def write_parquet(table: Table, rows: Rows, *, row_group_rows: int, **parquet: Any) -> DataFile:
    """Write one file of rows of one partition into the table's folder.

    Args: rows: columns by name, cast to the table's types, in any order; optional ones may be
        missing. An iterable is written as it comes, each item into row groups of its own.
        row_group_rows: the most rows a row group. parquet: further options of pyarrow's
        ParquetWriter, as `use_dictionary=["sensor"]`, `column_encoding={...}`.
    Returns: the file for `commit`. Raises: LakeError: no rows, rows of two partitions, or columns
    that are missing or do not fit; nothing is left behind.
    """
    schema = schema_to_pyarrow(table.schema())
    parts = (_conform(table, schema, part) for part in _parts(rows))
    first = next(parts, None)
    if first is None:
        raise LakeError(f"{_name(table)}: no rows to write")
    key = _partition(table, first)
    path = table.location_provider().new_data_location(f"{uuid.uuid4()}.parquet", key)
    codec = table.properties.get(_CODEC, "zstd").replace("uncompressed", "none")
    options = {"compression": codec, "store_schema": False} | parquet
    output = table.io.new_output(path)
    try:
        with output.create() as sink, pq.ParquetWriter(sink, schema, **options) as writer:
            for part in _chain(first, parts):
                if _partition(table, part).partition != key.partition:
                    raise LakeError(f"{_name(table)}: rows of more than one partition")
                writer.write_table(part, row_group_size=row_group_rows)
        metadata = writer.writer.metadata
    except BaseException:
        discard(table, [path])
        raise
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=metadata,
        stats_columns=compute_statistics_plan(table.schema(), table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(table.schema()),
    )
    made = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=key.partition,
        file_size_in_bytes=len(output),
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    made.spec_id = table.spec().spec_id
    return made


def discard(table: Table, files: Iterable[DataFile | str]) -> None:
    """Delete files that are in no snapshot: those of an attempt that failed."""
    for file in files:
        path = file if isinstance(file, str) else file.file_path
        try:
            table.io.delete(path)
        except FileNotFoundError:
            continue


def _parts(rows: Rows) -> Iterator[pa.Table]:
    """The rows as tables, without empty ones."""
    for part in [rows] if isinstance(rows, pa.Table) else rows:
        if part.num_rows:
            yield part if isinstance(part, pa.Table) else pa.Table.from_batches([part])


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _conform(table: Table, schema: pa.Schema, part: pa.Table) -> pa.Table:
    """The table's columns in its order and types. Raises: LakeError."""
    unknown = set(part.column_names) - set(schema.names)
    absent = {field.name for field in schema if not field.nullable} - set(part.column_names)
    if unknown or absent:
        problem = f"unknown columns {sorted(unknown)}, missing columns {sorted(absent)}"
        raise LakeError(f"{_name(table)}: {problem}")
    columns = [
        part[field.name] if field.name in part.column_names else pa.nulls(len(part), field.type)
        for field in schema
    ]
    try:
        return pa.Table.from_arrays(columns, names=schema.names).cast(schema)
    except (pa.ArrowInvalid, ValueError) as error:
        raise LakeError(f"{_name(table)}: {error}") from None


def _partition(table: Table, part: pa.Table) -> PartitionKey:
    """The one partition of all rows: transforms keep the order, so the ends say it."""
    spec = table.spec()
    values = [PartitionFieldValue(field, _value(table, field, part)) for field in spec.fields]
    return PartitionKey(values, spec, table.schema())


def _value(table: Table, field: PartitionField, part: pa.Table) -> Any:
    source = table.schema().find_field(field.source_id)
    ends = pc.min_max(part[source.name])
    change = field.transform.transform(source.field_type)
    least, most = (change(_plain(ends[end])) for end in ("min", "max"))
    if least != most:
        found = f"{source.name} from {ends['min']} to {ends['max']}"
        raise LakeError(f"{_name(table)}: rows of more than one partition: {found}")
    return least


def _plain(value: pa.Scalar) -> Any:
    """As Iceberg's transforms take it: times as microseconds."""
    return value.value if isinstance(value, pa.TimestampScalar) else value.as_py()


def _name(table: Table) -> str:
    return ".".join(table.name())
