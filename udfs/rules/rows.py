"""Rows of a test as people write them: `70*30, 20..80*7, null*5` is 42 values."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import numpy as np

from udfs.batch import Quality
from udfs.rules.base import mistake
from udfs.wording import hint

MAX_ROWS = 100_000

Values = tuple[float | None, ...]
T = TypeVar("T")

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TERM = re.compile(rf"(null|{_NUMBER})(?:\s*\.\.\s*({_NUMBER}))?(?:\s*\*\s*(\d+))?")
_WORD = re.compile(r"([a-z_]+)(?:\s*\*\s*(\d+))?")
QUALITIES = {name.lower(): code for name, code in vars(Quality).items() if name.isupper()}


def read_values(given: Any) -> Values:
    """Values of a text or a list; None where there is no reading.

    `70*30` is 30 times 70, `20..80*7` goes from 20 to 80 in 7 equal steps of time.
    """
    return _join([_value(term) for term in _terms(given, "values", "70*30, 85*4, null")])


def read_qualities(given: Any) -> tuple[int, ...]:
    """Quality codes of a text or a list, as in "good*30, stuck*5"."""
    return _join([_quality(term) for term in _terms(given, "quality", "good*30, stuck*5")])


def _terms(given: Any, name: str, example: str) -> list[Any]:
    if isinstance(given, str):
        return [term.strip() for term in given.split(",")]
    if isinstance(given, int | float) and not isinstance(given, bool):
        return [given]
    if not isinstance(given, list) or not given:
        raise mistake(f"{name} is no list", f'write "{example}", or a list')
    return given


def _value(term: Any) -> Values:
    if term is None:
        return (None,)
    if isinstance(term, int | float) and not isinstance(term, bool):
        return (float(term),)
    found = _TERM.fullmatch(term) if isinstance(term, str) else None
    if found is None or (found[2] and (found[1] == "null" or int(found[3] or 0) < 2)):
        raise mistake(f'no values: "{term}"', "write 70, 70*30, 20..80*7, null or null*5")
    times = _times(found[3])
    if found[2]:
        return tuple(np.linspace(float(found[1]), float(found[2]), times).tolist())
    return (None if found[1] == "null" else float(found[1]),) * times


def _quality(term: Any) -> tuple[int, ...]:
    found = _WORD.fullmatch(term) if isinstance(term, str) else None
    if found is None or found[1] not in QUALITIES:
        word = found[1] if found else str(term)
        raise mistake(f'unknown quality "{word}"', hint(word, QUALITIES))
    return (QUALITIES[found[1]],) * _times(found[2])


def _times(text: str | None) -> int:
    times = int(text) if text else 1
    if not 0 < times <= MAX_ROWS:
        raise mistake(f"{times} readings", f"from 1 to {MAX_ROWS} are allowed")
    return times


def _join(parts: list[tuple[T, ...]]) -> tuple[T, ...]:
    rows = tuple(row for part in parts for row in part)
    if len(rows) > MAX_ROWS:
        raise mistake(f"{len(rows)} readings of one sensor", f"at most {MAX_ROWS} are allowed")
    return rows
