"""What a table is to be: columns with their meaning, partitions, order, properties.

CHUNKS = TableSpec("chunks", "A row is ...", key, columns, {"facility": "", "minute": "hour"})
CHUNKS.schema()                          # pyiceberg Schema, ids from 1 in the columns' order
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import parse_transform
from pyiceberg.types import IcebergType, ListType, NestedField, PrimitiveType

MB = 1 << 20
# Iceberg's own numbering of partition fields begins here
_FIRST_PARTITION = 1000

COMMON = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.target-file-size-bytes": str(256 * MB),
    # every commit writes a manifest; without merging a day of commits makes planning slow
    "commit.manifest-merge.enabled": "true",
    # of Flink's committer; commits from here wait as jobs/lake/commit.py says
    "commit.retry.num-retries": "20",
    "commit.retry.min-wait-ms": "100",
    "commit.retry.max-wait-ms": "10000",
    "commit.retry.total-timeout-ms": "300000",
    # a table is committed to every minute: without these its metadata files fill the disk
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}


@dataclass(frozen=True)
class ListOf:
    """A list column; its elements need not be there, as pyarrow writes them."""

    element: PrimitiveType


@dataclass(frozen=True)
class Column:
    """name: as in the file. doc: meaning, with the unit. stats: bounds in the manifests."""

    name: str
    type: PrimitiveType | ListOf
    doc: str
    required: bool = True
    stats: bool = True


@dataclass(frozen=True)
class TableSpec:
    """One table. key: columns that name a row. partitions, order: column to transform, "" for
    the value itself; order is that in which writers sort rows. properties: beyond COMMON.
    """

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partitions: Mapping[str, str]
    order: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)

    def schema(self) -> Schema:
        """Ids of columns count from 1, those of list elements go on after the last column."""
        element = len(self.columns)
        fields = []
        for number, column in enumerate(self.columns, 1):
            found: IcebergType
            if isinstance(column.type, ListOf):
                element += 1
                found = ListType(element, column.type.element, element_required=False)
            else:
                found = column.type
            fields.append(NestedField(number, column.name, found, column.required, doc=column.doc))
        return Schema(*fields)

    def partition_spec(self) -> PartitionSpec:
        """Names as Spark makes them: facility, minute_hour."""
        ids = self._ids()
        return PartitionSpec(
            *(
                PartitionField(
                    source_id=ids[name],
                    field_id=_FIRST_PARTITION + place,
                    transform=parse_transform(how or "identity"),
                    name=f"{name}_{how}" if how else name,
                )
                for place, (name, how) in enumerate(self.partitions.items())
            )
        )

    def sort_order(self) -> SortOrder:
        """Rising, in the order of `order`."""
        ids = self._ids()
        return SortOrder(
            *(SortField(ids[name], parse_transform(how or "identity"))
              for name, how in self.order.items())
        )  # fmt: skip

    def properties(self) -> dict[str, str]:
        """All table properties, and no bounds for columns for which they say nothing."""
        made: dict[str, Any] = {"comment": self.doc}
        for column in self.columns:
            if not column.stats:
                path = f"{column.name}.element" if isinstance(column.type, ListOf) else column.name
                made[f"write.metadata.metrics.column.{path}"] = "none"
        return COMMON | made | dict(self.more)

    def _ids(self) -> dict[str, int]:
        return {column.name: number for number, column in enumerate(self.columns, 1)}
