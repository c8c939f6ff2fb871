"""When filters and rules save what they remember, and how they get it back.

The checkpoint is a snapshot to which the spool is the journal; see `edge/checkpoint.py`.
"""

from __future__ import annotations

from collections import Counter

import structlog

from edge import checkpoint
from edge.filters.pipeline import Pipeline
from edge.prescreen import Prescreen
from edge.registry import Registry
from edge.settings import SpoolSettings
from edge.spool.record import Log
from edge.spool.spool import Spool
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
        counts: Counter[str],
    ) -> None:
        self._settings, self._spool = settings, spool
        self._filters, self._prescreen = filters, prescreen
        self._counts = counts
        self._saved_ms = 0
        self._saved_index = -1
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
                self._prescreen.restore(fields.pop("prescreen"), registry)
                self.newest_ms = fields.pop("newest_ms")
                self._filters.from_fields(fields)
                self._saved_index = index
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
        index = self._spool.committed(Log.RAW)
        if index == self._saved_index:
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
        self._saved_index = index
        self._spool.covered(index)
