"""Quantiles of what a gateway notes in steps (`edge.timings`)."""

from __future__ import annotations

from edge.timings import BOUNDS_S, Durations


def between(begin: Durations, end: Durations) -> Durations:
    """Those that were noted after `begin`."""
    counts = tuple(b - a for a, b in zip(begin.counts, end.counts, strict=True))
    return Durations(counts, end.sum_s - begin.sum_s)


def quantile_ms(durations: Durations, share: float) -> float | None:
    """The quantile, evenly between the bounds of its step; None without any.

    What lies above the last bound counts as that. Args: share: from 0 to 1.
    """
    left, low_s = share * durations.count, 0.0
    for bound_s, count in zip(BOUNDS_S, durations.counts, strict=False):
        if count and left <= count:
            return (low_s + (bound_s - low_s) * left / count) * 1000
        left, low_s = left - count, bound_s
    return low_s * 1000 if durations.count else None
