"""The rules that a step goes by, as the adaptor sees them: something in numbered revisions.

`keyed.py` needs no more than this; `rule_feed.py` reads rulebooks from Kafka.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Ruling:
    """Rules, and their revision. rules: whatever the job's steps take."""

    revision: int
    rules: Any


class Feed(Protocol):
    """Follows rules while a job runs."""

    @property
    def newest(self) -> Ruling:
        """What to go by now; asked before every record."""

    def open(self) -> None:
        """Begin to follow."""

    def at(self, revision: int) -> Ruling | None:
        """Those of an earlier revision; None when they are gone."""

    def refuse(self, revision: int, why: str) -> None:
        """Take note that a step cannot go by the newest rules, and goes on by those that it has."""

    def levels(self) -> Mapping[str, int]:
        """Levels for metrics."""

    def close(self) -> None:
        """Stop."""


class NoFeed:
    """Of a job whose steps go by no rules."""

    newest = Ruling(0, None)

    def open(self) -> None:
        """Nothing to open."""

    def at(self, revision: int) -> Ruling | None:
        """Always the same."""
        return self.newest

    def refuse(self, revision: int, why: str) -> None:
        """Never."""

    def levels(self) -> Mapping[str, int]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing to close."""
