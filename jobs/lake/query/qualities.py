"""Qualities of readings by name or by code."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.lake.query.scope import QueryError
from udfs.rules.rows import QUALITIES
from udfs.wording import hint

Qualities = str | int | Iterable[str | int] | None


def codes_of(given: Qualities) -> tuple[int, ...]:
    """Codes of one or several; none for all. Raises: QueryError: there is no such quality."""
    if given is None:
        return ()
    several = [given] if isinstance(given, str | int) else list(given)
    return tuple(_code(each) for each in several)


def _code(given: str | int) -> int:
    if given in QUALITIES.values():
        return int(given)
    if given not in QUALITIES:
        raise QueryError(f'unknown quality "{given}" ({hint(str(given), QUALITIES)})')
    return int(QUALITIES[str(given)])
