"""The rulebooks of topic `rules` as its records come, and which of them to go by.

    shelf = Shelf()
    shelf.take(key, value)               # each record, in the order of the topic
    edition = shelf.newest()             # a newer good one, or None

The newest good one wins, so that everybody who read the same records goes by the same rulebook. Bad
ones are told in `refused` until a newer good one comes.
"""

from __future__ import annotations

from dataclasses import dataclass

from udfs.rules.record import Rulebook, decode, revision_of, rules
from udfs.rules.rulebook import Rule

MAX_WAITING_BYTES = 64_000_000
"""Of records that are newer than the rulebook in use and not looked at yet."""


@dataclass(frozen=True, slots=True)
class Edition:
    """A rulebook and its rules."""

    rulebook: Rulebook
    rules: list[Rule]


class Shelf:
    """Rulebooks, oldest forgotten first.

    revision: of the rulebook in use, 0 for none. refused: why newer ones cannot be used; those that
    came since the last look at it are at its end.
    """

    def __init__(self, revision: int = 0) -> None:
        self.revision = revision
        self.refused: list[str] = []
        self._first: dict[int, str] = {}
        self._waiting: dict[int, bytes] = {}

    def take(self, key: str, value: bytes | None) -> None:
        """One record. value: None deletes."""
        try:
            revision = revision_of(key)
        except ValueError as error:
            self.refused.append(str(error))
            return
        # the number stays taken: a second record of it must not come to life by a deletion
        if self._first.setdefault(revision, key) != key:
            return
        self._waiting.pop(revision, None)
        if value is not None and revision > self.revision:
            self._waiting[revision] = value
            self._bound()

    def newest(self) -> Edition | None:
        """The newest good rulebook that is newer than the one in use; it is in use from now on."""
        refused = []
        for revision in sorted(self._waiting, reverse=True):
            try:
                edition = _edition(revision, self._waiting.pop(revision))
            except ValueError as error:
                refused.append(f"revision {revision}: {error}")
                continue
            self.revision, self.refused = revision, refused
            self._waiting.clear()
            return edition
        self.refused += refused
        return None

    def _bound(self) -> None:
        """Forget the oldest of too many; the newest stays, whatever its size."""
        while len(self._waiting) > 1 and sum(map(len, self._waiting.values())) > MAX_WAITING_BYTES:
            del self._waiting[min(self._waiting)]


def _edition(revision: int, value: bytes) -> Edition:
    rulebook = decode(value)
    if rulebook.revision != revision:
        raise ValueError(f"not a rulebook: its key says {revision}, it says {rulebook.revision}")
    return Edition(rulebook, rules(rulebook))
