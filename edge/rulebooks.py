"""The rulebooks of this gateway, on disk beside the spool: a restart without a network runs them.

    books = Rulebooks(folder, RuleSet(load_rules()))    # revision 0: the rules of a folder
    books.load()                        # what is on disk and whole
    books.newest                        # the rules to go by
    books.keep(rulebook, rules, place)  # a newer one, from the topic
    books.of(revision)                  # rules of an earlier one, while a checkpoint needs them
    books.settled(revision)             # the checkpoint is of this one; others than it may go

A file is one rulebook, sealed: `rulebook.<serial>`. The one with the highest serial is the newest,
whatever its revision; after a topic was made anew revisions begin again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import structlog

from edge.files import replace_file, seal, unseal
from edge.rules import RuleSet
from udfs.rules.model import Rule
from udfs.rules.record import Rulebook, decode, encode, rules
from udfs.state import pack, unpack

log = structlog.get_logger()

PREFIX = "rulebook."
_KIND, _VERSION = "edge_rulebook", 1
_SHOWN = 2000  # characters of a reason; a rulebook may have thousands of mistakes


class Place(NamedTuple):
    """Where a rulebook stands in the topic."""

    key: str
    offset: int


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A rulebook on disk."""

    serial: int
    place: Place
    rule_set: RuleSet


class Rulebooks:
    """Two threads use it: one keeps what it read from the topic, the other goes by it.

    offered: the highest revision that was in the topic, 0 before one was seen. refused: rulebooks
    that could not be used since the process began. why: what was wrong with the last of them, empty
    once a newer one is kept.
    """

    def __init__(self, folder: Path, base: RuleSet) -> None:
        self._folder, self._base = folder, base
        self._kept: list[Kept] = []
        self._serial = 0
        self._lock = Lock()
        self.offered = 0
        self.refused = 0
        self.why = ""

    def load(self) -> None:
        """Read what is on disk. A damaged one is told and ignored."""
        paths = [path for path in self._folder.glob(PREFIX + "*") if path.suffix[1:].isdecimal()]
        for path in sorted(paths, key=_serial_of):
            self._serial = _serial_of(path)
            try:
                self._kept.append(_read(path))
            except (OSError, ValueError) as error:
                self.refuse(f"{path}: {error}")

    @property
    def newest(self) -> RuleSet:
        """The rules to go by."""
        kept = self._last()
        return kept.rule_set if kept else self._base

    @property
    def place(self) -> Place | None:
        """Where the newest stands in the topic; None while there are only those of the folder."""
        kept = self._last()
        return kept.place if kept else None

    def of(self, revision: int) -> RuleSet | None:
        """The rules of a revision, where they are still here."""
        with self._lock:
            found = [k.rule_set for k in reversed(self._kept) if k.rule_set.revision == revision]
        if found:
            return found[0]
        return self._base if revision == self._base.revision else None

    def keep(self, rulebook: Rulebook, found: Sequence[Rule], place: Place) -> RuleSet:
        """Make it the newest, on disk. Raises: OSError: the disk refused; nothing changed then."""
        serial = self._serial + 1
        fields = {"value": encode(rulebook), "key": place.key, "offset": place.offset}
        replace_file(self._folder / f"{PREFIX}{serial}", seal(pack(_KIND, _VERSION, fields)))
        kept = Kept(serial, place, _rule_set(rulebook, found))
        with self._lock:
            self._serial, self.why = serial, ""
            self._kept.append(kept)
        return kept.rule_set

    def settled(self, revision: int) -> None:
        """The checkpoint on disk is of this revision: what is older than its rulebook may go."""
        with self._lock:
            needed = [k for k in self._kept if k.rule_set.revision == revision][-1:]
            self._kept = [k for k in self._kept if k in needed or k is self._kept[-1]]
            stay = {k.serial for k in self._kept}
            for path in self._folder.glob(PREFIX + "*"):
                if 0 < _serial_of(path) <= self._serial and _serial_of(path) not in stay:
                    with suppress(OSError):  # what stays only takes room
                        path.unlink()

    def refuse(self, why: str) -> None:
        """One that cannot be used, and why. What runs goes on."""
        self.refused += 1
        self.why = why[:_SHOWN]
        log.warning("rulebook_refused", error=self.why)

    def _last(self) -> Kept | None:
        with self._lock:
            return self._kept[-1] if self._kept else None


def _serial_of(path: Path) -> int:
    ending = path.name.removeprefix(PREFIX)
    return int(ending) if ending.isdecimal() else 0


def _read(path: Path) -> Kept:
    """Raises: OSError, ValueError: damaged, or of a later version of rules than this gateway's."""
    version, fields = unpack(unseal(path.read_bytes()), _KIND)
    if version > _VERSION:
        raise ValueError(f"version {version}; this gateway knows up to {_VERSION}")
    rulebook = decode(fields["value"])
    place = Place(fields["key"], fields["offset"])
    return Kept(_serial_of(path), place, _rule_set(rulebook, rules(rulebook)))


def _rule_set(book: Rulebook, found: Sequence[Rule]) -> RuleSet:
    return RuleSet(found, book.revision, book.author, book.reason, book.created_ms)
