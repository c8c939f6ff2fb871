"""History to try rules on: readings of the past as catalogues and batches, whatever holds them.

    for catalogue, batch in history.read(from_ms, to_ms): ...

A source gives the batches of each gateway in the order in which it sent them, and never holds more
than a part of them in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

from jobs.common.errors import HardiotError
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.rules.calendar import end_of, read_moment

EVER_MS = 2**62


class HistoryError(HardiotError):
    """History that cannot be read; the text says what to do."""


class History(Protocol):
    """Where readings of the past are."""

    def read(self, from_ms: int, to_ms: int) -> Iterator[tuple[Catalogue, Batch]]:
        """Batches with the catalogue that each was sent by, of event times from `from_ms` to
        before `to_ms`. Raises: HistoryError.
        """


def time_of(text: str, end: bool = False) -> int:
    """UTC epoch ms of a date, a date and time (UTC unless it has an offset) or epoch ms.

    Args: end: a date alone is the end of that day. Raises: HistoryError: none of these.
    """
    if text.isascii() and text.isdigit() and len(text) > 8:
        return int(text)
    try:
        moment = end_of(text) if end else read_moment(text)
    except ValueError:
        raise HistoryError(f'"{text}" is no time; write 2026-12-24 or 2026-12-24T06:00') from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def utc(time_ms: int) -> str:
    """A time as people read it, UTC."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
