"""A gateway day against the gateway's own words: told, proven, different, declared lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from jobs.quality.proof import Difference, prove
from jobs.quality.sites import GatewayDay
from jobs.quality.view import Span
from jobs.quality.words import Words
from udfs.alerts import rfc3339
from udfs.book import Range

# the times of numbers are known to some seconds
_NEAR_MS = 120_000


@dataclass
class Account:
    """readings: in the table. told: readings of ranges that are of this time for certain; proven:
    of these. *_at: where. None: nothing to judge.
    """

    readings: int = 0
    told: int = 0
    proven: int = 0
    unheard: int = 0
    unheard_at: str = ""
    different_ranges: int = 0
    different_ranges_at: str = ""
    unproven_share: float | None = None
    unproven_share_at: str = ""
    undeclared_minutes: int = 0
    undeclared_minutes_at: str = ""
    unaccounted_batches: int = 0
    unaccounted_batches_at: str = ""

    def row(self) -> dict[str, object]:
        """As a row of facts."""
        return asdict(self)


def account(
    site: GatewayDay, words: Words | None, day_ms: int, span: Span, counted: pa.Table | None
) -> Account:
    """Hold what is there against what was said.

    Args: span: the part of the day that `site` has. counted: time, late, unaccounted_batches of the
        gateway, by time, or None.
    """
    found = Account(readings=int(site.seconds.sum()))
    if words is None:
        found.unheard = int(found.readings > 0)
        return found
    _prove(found, site, words, day_ms, span, _late(counted))
    _losses(found, site, words, day_ms)
    if counted is not None:
        newest = [n for n in counted["unaccounted_batches"].to_pylist() if n is not None]
        found.unaccounted_batches = max(newest, default=0)
    return found


def _late(counted: pa.Table | None) -> int:
    """Readings that came after their minute: they may be of another day than their range."""
    late = counted["late"].to_numpy() if counted is not None else np.zeros(1, np.int64)
    return int(late.max() - late.min())


def _prove(
    found: Account, site: GatewayDay, words: Words, day_ms: int, span: Span, late: int
) -> None:
    for chain in words.chains():
        near = [told for told in chain if _within(words, told, span, -_NEAR_MS)]
        proof = prove(site.seconds, site.prints, near)
        for told, proven in zip(near, proof.proven, strict=True):
            if _within(words, told, span, _NEAR_MS):
                found.told += told.readings
                found.proven += told.readings * proven
        for each in proof.differences:
            if abs(each.told - each.archived) > late or each.told == each.archived:
                found.different_ranges += 1
                found.different_ranges_at = found.different_ranges_at or _say(each, day_ms)
    if found.told:
        found.unproven_share = 1 - found.proven / found.told


def _within(words: Words, told: Range, span: Span, margin_ms: int) -> bool:
    """Whether a range is inside, so far from both ends."""
    first, last = words.when(told.epoch, told.first), words.when(told.epoch, told.last)
    return first >= span[0] + margin_ms and last < span[1] - margin_ms


def _say(each: Difference, day_ms: int) -> str:
    since, until = (rfc3339(day_ms + at * 1000)[11:19] for at in (each.since, each.until))
    numbers = f"{each.epoch}:{each.first}-{each.last}"
    return f"{numbers}, {since} to {until}: told {each.told}, found {each.archived}"


def _losses(found: Account, site: GatewayDay, words: Words, day_ms: int) -> None:
    """Incomplete minutes of which no loss was declared."""
    minutes = np.flatnonzero(site.incomplete)
    starts = day_ms + minutes * 60_000
    declared = np.zeros(len(minutes), np.bool_)
    for lost in words.lost():
        declared |= (starts + 60_000 > lost.since_ms - _NEAR_MS) & (
            starts <= lost.until_ms + _NEAR_MS
        )
    found.undeclared_minutes = int((~declared).sum())
    if found.undeclared_minutes:
        found.undeclared_minutes_at = rfc3339(int(starts[~declared][0]))[:16]
