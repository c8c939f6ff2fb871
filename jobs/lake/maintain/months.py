"""Months of UTC, numbered from January 1970 as Iceberg does."""

from __future__ import annotations

from datetime import UTC, datetime


def month_of(time_ms: int) -> int:
    """The month that a time is in."""
    time = datetime.fromtimestamp(time_ms / 1000, UTC)
    return (time.year - 1970) * 12 + time.month - 1


def month_start_ms(month: int) -> int:
    """When a month begins, UTC epoch milliseconds."""
    return int(datetime(1970 + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000
