"""The rulebooks of topic `rules` as its records come, and which of them to go by.

    shelf = Shelf()
    shelf.take(key, value)               # each record, in the order of the topic
    edition = shelf.newest()             # at the topic's end: a newer good one, or None

The newest good one wins, so that everybody who read the same records goes by the same rulebook.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from udfs.rules.record import Rulebook, decode, revision_of, rules
from udfs.rules.rulebook import Rule

MAX_SHELF_BYTES = 32_000_000
"""Of all rulebooks, compressed: 50 of 10,000 rules take a third of it."""
_MAX_REFUSED = 100


@dataclass(frozen=True, slots=True)
class Edition:
    """A rulebook and its rules."""

    rulebook: Rulebook
    rules: list[Rule]


class Shelf:
    """Rulebooks by revision; too many make it forget the oldest.

    revision: of the one in use, 0 for none. refused: why newer ones cannot be used, 100 at most.
    last: the highest revision that any record claimed.
    """

    def __init__(self, max_bytes: int = MAX_SHELF_BYTES) -> None:
        self.revision = self.last = 0
        self.refused: list[str] = []
        self._max_bytes = max_bytes
        self._first: dict[int, str] = {}
        self._values: dict[int, bytes] = {}
        self._new: set[int] = set()

    def take(self, key: str, value: bytes | None) -> None:
        """One record. key: `record_key`. value: None deletes it."""
        try:
            revision = revision_of(key)
        except ValueError as error:
            self._refuse([str(error)])
            return
        # the number stays taken: a second record of it must not come to life by a deletion
        if self._first.setdefault(revision, key) != key:
            return
        self.last = max(self.last, revision)
        self._values.pop(revision, None)
        self._new.discard(revision)
        if value is not None:
            self._values[revision] = zlib.compress(value, 1)
            self._new |= {revision} if revision > self.revision else set()
            self._bound()

    def newest(self) -> Edition | None:
        """The newest good rulebook that is newer than the one in use; it is in use from now on."""
        refused = []
        for revision in sorted(self._new, reverse=True):
            self._new.discard(revision)
            try:
                edition = self.edition(revision)
            except Exception as error:  # noqa: BLE001  # no rulebook may stop its reader
                refused.append(f"revision {revision}: {error}")
                continue
            self.revision, self.refused = revision, []
            self._new.clear()
            self._refuse(refused)
            return edition
        self._refuse(refused)
        return None

    def revisions(self) -> list[int]:
        """Those that are here, good or bad, ascending."""
        return sorted(self._values)

    def key(self, revision: int) -> str:
        """The key of the record that counts. Raises: KeyError: nobody claimed that revision."""
        return self._first[revision]

    def rulebook(self, revision: int) -> Rulebook:
        """Raises: KeyError: not here. ValueError: it cannot be read."""
        rulebook = decode(zlib.decompress(self._values[revision]))
        if rulebook.revision != revision:
            raise ValueError(
                f"not a rulebook: its key says revision {revision}, it says {rulebook.revision}"
            )
        return rulebook

    def edition(self, revision: int) -> Edition:
        """Raises: KeyError: not here. ValueError: it cannot be read, or its rules have mistakes."""
        rulebook = self.rulebook(revision)
        return Edition(rulebook, rules(rulebook))

    def _refuse(self, reasons: list[str]) -> None:
        self.refused = (self.refused + reasons)[-_MAX_REFUSED:]

    def _bound(self) -> None:
        """Forget the oldest of too many; the newest stays, whatever its size."""
        while len(self._values) > 1 and sum(map(len, self._values.values())) > self._max_bytes:
            oldest = min(self._values)
            del self._values[oldest]
            self._new.discard(oldest)
