"""The audit of restatements, as table `restatements` has it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
from pyiceberg.expressions import parser

from jobs.lake.catalog import open_catalog
from jobs.lake.compaction.stored import read_file
from jobs.lake.files import data_files
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import RESTATEMENTS, load_table
from udfs.batch import NAME


def newest(lake: LakeSettings, facility: str, since: datetime, limit: int) -> list[dict[str, Any]]:
    """The rows that were restated last, the newest first; a file at a time is in memory.

    Args: facility: only of this one; empty: of all. Raises: LakeError: the table is not there.
    """
    where = f"restated >= '{since.isoformat()}'"
    if facility:
        where += f" AND facility = '{facility if NAME.fullmatch(facility) else '-'}'"
    with open_catalog(lake) as catalog:
        table = load_table(catalog, lake, RESTATEMENTS)
        rows = [_newest(read_file(table, f), limit) for f in data_files(table, parser.parse(where))]
    if not rows:
        return []
    found = _newest(pa.concat_tables(rows), limit)
    return [row for row in found.to_pylist() if row["restated"] >= since]


def _newest(rows: pa.Table, limit: int) -> pa.Table:
    names = ("facility", "gateway", "minute", "slot")
    order = [("restated", "descending"), *((name, "ascending") for name in names)]
    return rows.sort_by(order).slice(0, limit)
