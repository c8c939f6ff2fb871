"""Alerts that a test expects, against those that it got; the difference in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from udfs.rules.case import ExpectModel
from udfs.trial.lives import Life

Row = dict[str, Any]

_MOST_TOLD = 10
_TOLERANCE = 1e-3  # of values; times are compared to the millisecond


def row_of(life: Life, start_ms: int) -> Row:
    """An alert as a test says it; times are seconds since the start."""
    first = life.firing

    def seconds(at_ms: int | None) -> float | None:
        return None if at_ms is None else (at_ms - start_ms) / 1000

    return {
        "subject": first.subject,
        "asset": first.asset,
        "onset_s": seconds(first.onset_ms),
        "firing_s": seconds(first.event_ms),
        "resolved_s": seconds(life.end_ms),
        "severity": first.severity,
        "value": first.value,
        "limit": first.limit,
        "text": first.text,
        "updates": [
            {"at_s": seconds(each.event_ms), "severity": each.severity} for each in life.updates
        ],
    }


def differences(expected: Sequence[ExpectModel], got: Sequence[Row]) -> list[str]:
    """One line for each alert that differs, is missing or was not expected.

    Who expects most chooses first, so that an entry with few keys takes what others leave.
    """
    wanted = [each.model_dump(exclude_unset=True) for each in expected]
    left = list(got)
    unmet = []
    for want in sorted(wanted, key=len, reverse=True):
        same = next((row for row in left if not _unlike(want, row)), None)
        left.remove(same) if same is not None else unmet.append(want)
    told = [_explain(want, left) for want in unmet] + [f"extra: {_words(row)}" for row in left]
    more = len(told) - _MOST_TOLD
    return told[:_MOST_TOLD] + [f"and {more} more"] * (more > 0)


def _explain(want: Row, left: list[Row]) -> str:
    """What is nearest to what is wanted, which is then taken from the rest."""
    about = [row for row in left if want.get("subject", row["subject"]) == row["subject"]]
    if not about:
        return f"missing: {_words(want) or 'an alert'}"
    near = min(about, key=lambda row: len(_unlike(want, row)))
    left.remove(near)
    wrong = "; ".join(
        f"{key} is {_word(near[key])}, not {_word(want[key])}" for key in _unlike(want, near)
    )
    return f"differs: {near['subject']}: {wrong}"


def _unlike(want: Mapping[str, Any], row: Row) -> list[str]:
    return [key for key, value in want.items() if not _equal(key, value, row[key])]


def _equal(key: str, want: Any, got: Any) -> bool:
    if isinstance(want, float | int) and isinstance(got, float | int):
        if key.endswith("_s"):
            return abs(want - got) < 0.0005
        return math.isclose(want, got, rel_tol=_TOLERANCE, abs_tol=1e-9)
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(
            all(_equal(name, w[name], g[name]) for name in w)
            for w, g in zip(want, got, strict=True)
        )
    return bool(want == got)


def _words(row: Row) -> str:
    return ", ".join(f"{key} {_word(value)}" for key, value in row.items() if value not in ("", []))


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{u['severity']} at {u['at_s']:g}" for u in value) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "null" if value is None else str(value)
