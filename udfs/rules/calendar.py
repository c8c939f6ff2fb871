"""Times as people write them in a rule, and what they are on the UTC axis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from udfs.rules.base import mistake
from udfs.wording import hint

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Span = tuple[int, int]  # begin and end, UTC epoch ms

_TIME = re.compile(r"(\d\d?):(\d\d)")
_EPOCH = date(1970, 1, 1)
_THURSDAY = 3  # weekday of day 0


class Edges(NamedTuple):
    """Times at which a schedule changes within one day, ascending. first: before the first."""

    first: bool
    changes: list[int]


def read_time(given: Any) -> int:
    """Minutes since midnight of "06:00". YAML reads 22:00 without quotes as a number of base 60."""
    if isinstance(given, int) and not isinstance(given, bool) and 60 <= given <= 24 * 60:
        shown = f"{given // 60}:{given % 60:02}"
        raise mistake(f"the time {shown} is not in quotes", f'write "{shown}"')
    found = _TIME.fullmatch(given) if isinstance(given, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if found is None or int(found[2]) > 59 or minutes > 24 * 60:
        raise mistake(f'"{given}" is no time of day', 'write hours and minutes, as in "06:00"')
    return minutes


def read_days(given: Any) -> tuple[str, ...]:
    """Days of "mon", "mon-fri" or a list of these, in the order of the week."""
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, list | tuple) or not words:
        raise mistake("days is not a list of days", "write [mon-fri] or [mon, wed]")
    chosen = {day for word in words for day in _range(word)}
    return tuple(day for day in DAYS if day in chosen)


def _range(word: Any) -> Sequence[str]:
    first, dash, last = word.partition("-") if isinstance(word, str) else ("", "", "")
    for day in (first, last) if dash else (first,):
        if day not in DAYS:
            raise mistake(f'unknown day "{day or word}"', hint(str(day or word), DAYS))
    if not dash:
        return (first,)
    begin, end = DAYS.index(first), DAYS.index(last)
    return DAYS[begin : end + 1] if begin <= end else DAYS[begin:] + DAYS[: end + 1]


def read_moment(given: Any) -> datetime:
    """A moment; without an offset it is meant in some zone. A date alone is its midnight."""
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            given = None
    if isinstance(given, datetime):
        return given
    if isinstance(given, date):
        return datetime.combine(given, clock())
    raise mistake("not a date, nor a date and time", "write 2026-12-24 or 2026-12-24T06:00")


def end_of(given: Any) -> datetime:
    """Like `read_moment`, but a date alone is the end of that day."""
    alone = re.fullmatch(r"\d{4}-\d\d-\d\d", given) if isinstance(given, str) else None
    if alone or (isinstance(given, date) and not isinstance(given, datetime)):
        return read_moment(given) + timedelta(days=1)
    return read_moment(given)


def instant(moment: datetime, zone: ZoneInfo) -> int:
    """UTC epoch ms at which the zone's clock first shows this moment or a later one."""
    if moment.tzinfo is not None:
        return round(moment.timestamp() * 1000)
    first = moment.replace(tzinfo=zone, fold=0)
    high = round(first.timestamp() * 1000)
    if _shown(high, zone) == moment:
        return high
    return _switch(round(first.replace(fold=1).timestamp() * 1000), high, moment, zone)


def _switch(low: int, high: int, moment: datetime, zone: ZoneInfo) -> int:
    """The clock skips the moment: when it does so, by bisection."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _shown(middle, zone) >= moment else (middle, high)
    return high


def _shown(at_ms: int, zone: ZoneInfo) -> datetime:
    seconds, millis = divmod(at_ms, 1000)
    utc = datetime.fromtimestamp(seconds, UTC).replace(microsecond=millis * 1000)
    return utc.astimezone(zone).replace(tzinfo=None, fold=0)


def shift_spans(days: Sequence[str], begin: int, end: int, zone: ZoneInfo, day: int) -> list[Span]:
    """A shift's spans about a UTC day (days since 1970). begin, end: minutes of the day."""
    chosen = [n for n in range(day - 2, day + 3) if DAYS[(n + _THURSDAY) % 7] in days]
    spans = [(_at(n, begin, zone), _at(n + (end <= begin), end, zone)) for n in chosen]
    return [span for span in spans if span[0] < span[1]]


def _at(day: int, minutes: int, zone: ZoneInfo) -> int:
    midnight = datetime.combine(_EPOCH + timedelta(days=day), clock())
    return instant(midnight + timedelta(minutes=minutes), zone)
