"""When filters and rules save what they remember, and how they get it back.

The checkpoint is a snapshot to which the spool is the journal; see `edge/checkpoint.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from edge import checkpoint
from edge.filters.pipeline import Pipeline
from edge.prescreen import Prescreen
from edge.registry import Registry
from edge.rulebooks import Rulebooks
from edge.settings import SpoolSettings
from edge.spool.record import Log
from edge.spool.spool import Spool
from udfs.rules.model import Rule
from udfs.state import BadState

log = structlog.get_logger()

_REPLAYED = 1000


class Memory:
    """Checkpoints of one gateway. counts: checkpoint_damaged, checkpoint_failed."""

    def __init__(
        self,
        settings: SpoolSettings,
        spool: Spool,
        filters: Pipeline,
        prescreen: Prescreen,
        books: Rulebooks,
        counts: Counter[str],
    ) -> None:
        self._settings, self._spool = settings, spool
        self._filters, self._prescreen = filters, prescreen
        self._books, self._counts = books, counts
        self._saved_ms = 0
        self._saved = (-1, 0)  # index of the raw record, and revision of the rules
        self.newest_ms = 0
        """Event time of the newest batch that filters and rules have seen."""

    def load(self, registry: Registry, now_ms: int) -> int:
        """Returns: index of the raw record after which the spool is to be replayed.

        Without a checkpoint that can be used: as many records as can be taken up in a second.
        """
        self._saved_ms = now_ms
        newest = self._spool.committed(Log.RAW)
        try:
            found = checkpoint.load(self._settings.folder)
            if found is not None and found[0] <= newest:
                index, fields = found
                self._prescreen.restore(fields.pop("prescreen"), registry, self._rules_of)
                self.newest_ms = fields.pop("newest_ms")
                self._filters.from_fields(fields)
                self._saved = (index, self._prescreen.revision)
                self._spool.covered(index)
                return index
        except (BadState, OSError) as error:
            log.warning("checkpoint_unusable", error=str(error), replayed=_REPLAYED)
            self._counts["checkpoint_damaged"] += 1
        return max(newest - _REPLAYED, -1)

    def due(self, now_ms: int) -> bool:
        """Whether it is time to save."""
        return now_ms - self._saved_ms >= self._settings.checkpoint_s * 1000

    def save(self, now_ms: int) -> None:
        """Save; everything appended must be committed. A refusal costs a longer replay."""
        self._saved_ms = now_ms
        index, revision = self._spool.committed(Log.RAW), self._prescreen.revision
        if (index, revision) == self._saved:
            return
        fields = {
            **self._filters.to_fields(),
            "prescreen": self._prescreen.snapshot(),
            "newest_ms": self.newest_ms,
        }
        try:
            checkpoint.save(self._settings.folder, index, fields)
        except OSError as error:
            log.warning("checkpoint_failed", error=str(error))
            self._counts["checkpoint_failed"] += 1
            return
        if revision != self._saved[1]:
            self._books.settled(revision)
        self._saved = (index, revision)
        self._spool.covered(index)

    def _rules_of(self, revision: int) -> Sequence[Rule] | None:
        found = self._books.of(revision)
        return found.rules if found else None
