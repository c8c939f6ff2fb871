"""Rows of table chunks for tests, each known by its minute and revision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyiceberg.table import Table

DAY = datetime(2026, 1, 31, tzinfo=UTC)


def chunk_rows(
    minutes: Sequence[int], facility: str = "plant-07", gateway: str = "gw-1", revision: int = 1
) -> pa.Table:
    """One row a minute of the day."""
    times = [DAY + timedelta(minutes=minute) for minute in minutes]
    n = len(times)
    return pa.table(
        {
            "facility": [facility] * n,
            "gateway": [gateway] * n,
            "minute": pa.array(times, pa.timestamp("ms", "UTC")),
            "revision": [revision] * n,
            "complete": [True] * n,
            "missing": [0] * n,
            "batches": [60] * n,
            "readings": [300_000] * n,
            "chunk": [b"chunk of %d" % minute for minute in minutes],
        }
    )


def minutes_in(table: Table) -> list[int]:
    """Minutes of the day of all live rows, ascending."""
    times = table.scan(selected_fields=("minute",)).to_arrow()["minute"].to_pylist()
    return sorted(int((time - DAY).total_seconds()) // 60 for time in times)
