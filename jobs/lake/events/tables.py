"""The tables of events, appended to exactly once: what was read of Kafka stands in the commit.

    tables = EventTables(catalog, settings)
    tables.done()                         # {(topic, partition): next offset}, after a restart
    tables.append(rows by table, offsets by table)

Kafka's own offsets are committed after the tables'. A crash between the two leaves Kafka behind,
and `done` says how far the tables are.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform, MonthTransform

from jobs.lake.commit import commit
from jobs.lake.events.rows import JOB, Row, Rows
from jobs.lake.files import write_parquet
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ALERTS, COUNTED, DEAD_LETTERS, LEDGER, ROLLUPS, load_table

OFFSETS = "hardiot.offsets"
ROW_GROUP_ROWS = 65_536
SPECS = (ALERTS, LEDGER, COUNTED, DEAD_LETTERS, ROLLUPS)

Place = tuple[str, int]
Offsets = Mapping[Place, int]


class EventTables:
    """The tables of one lake."""

    def __init__(self, catalog: Catalog, settings: LakeSettings) -> None:
        self._tables = {spec.name: load_table(catalog, settings, spec) for spec in SPECS}

    def done(self) -> dict[Place, int]:
        """How far the tables are, by the commits that are remembered: hours, retention.yaml."""
        found: dict[Place, int] = {}
        for table in self._tables.values():
            for snapshot in table.refresh().metadata.snapshots:
                text = snapshot.summary[OFFSETS] if snapshot.summary else None
                for topic, partition, offset in json.loads(text or "[]"):
                    place = (topic, partition)
                    found[place] = max(found.get(place, 0), offset)
        return found

    def append(self, rows: Mapping[str, list[Rows]], offsets: Mapping[str, Offsets]) -> None:
        """Add rows, by table's name, and note the offsets after what they came from.

        Raises: CommitTimeout: the catalog does not answer; a restart finds out what was done.
        """
        for name, some in rows.items():
            table = self._tables[name]
            files = [
                write_parquet(table, part, row_group_rows=ROW_GROUP_ROWS)
                for part in _parts(table, some)
            ]
            noted = [[*place, offset] for place, offset in sorted(offsets[name].items())]
            commit(table, add=files, summary={OFFSETS: json.dumps(noted), "hardiot.job": JOB})


def _parts(table: Table, some: list[Rows]) -> Iterator[pa.Table]:
    """The rows as one table a partition."""
    schema = schema_to_pyarrow(table.schema())
    plain = [row for rows in some if isinstance(rows, list) for row in rows]
    tables = [rows for rows in some if isinstance(rows, pa.Table) and rows.num_rows]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in plain:
        groups[_key(table, row)].append(row)
    for rows in groups.values():
        yield pa.Table.from_pylist(rows, schema=schema)
    pieces: dict[tuple[Any, ...], list[pa.Table]] = defaultdict(list)
    for piece in tables:  # of one gateway minute each
        pieces[_key(table, piece.slice(0, 1).to_pylist()[0])].append(piece)
    for same in pieces.values():
        yield pa.concat_tables(same)


def _key(table: Table, row: Row) -> tuple[Any, ...]:
    """What makes the row's partition, in words of Python."""
    found = []
    for field in table.spec().fields:
        value = row[table.schema().find_column_name(field.source_id) or ""]
        if isinstance(field.transform, MonthTransform):
            value = (value.year, value.month)
        elif isinstance(field.transform, DayTransform):
            value = value.date()
        found.append(value)
    return tuple(found)
