"""A batch as conditions see it: by view, and as values of signals; made once for all banks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions.base import View
from udfs.conditions.gaps import longest_pause_ms
from udfs.conditions.latch import NEVER, Ints, Readings
from udfs.watch.banks import Bank, Source, sources
from udfs.watch.lanes import LaneState, SignalState
from udfs.watch.readings import Round, follow, seen


class Lens:
    """For all banks of one gateway."""

    def __init__(self, catalogue: Catalogue, banks: Sequence[Bank]) -> None:
        self._sensors = len(catalogue)
        self._gap_ms = longest_pause_ms(catalogue.period_ms)
        self._banks = banks
        self.signals = tuple(sources(banks))
        self._signal_gap_ms: list[Ints] = [
            longest_pause_ms(signal.period_ms) for signal in self.signals
        ]
        wanted = {bank.source[0] for bank in banks if bank.source[1] is None}
        self._views = wanted | ({View.GOOD} if self.signals else set())
        # silence is judged by the gateway's time, gaps mean nothing to it
        self.followed = tuple(sorted(wanted - {View.ANY}))

    def start_views(self) -> dict[View, Ints]:
        """Times of the newest reading of each sensor, by view."""
        return {view: np.full(self._sensors, NEVER, np.int64) for view in self.followed}

    def start_signals(self) -> list[SignalState]:
        """State of each signal."""
        return [
            SignalState(signal.start(), np.full(len(signal.assets), NEVER, np.int64))
            for signal in self.signals
        ]

    def look(self, batch: Batch, lane: LaneState) -> list[list[Readings]]:
        """The readings of each bank, in rounds; notes in the lane what came when."""
        plain = seen(batch, self._sensors, self._views)
        rounds: dict[Source, list[Round]] = {}
        for number, signal in enumerate(self.signals):
            state = lane.signals[number]
            made = signal.rounds(state.inputs, plain[View.GOOD])
            made = follow(state.last_ms, self._signal_gap_ms[number], made)
            rounds |= dict.fromkeys(((view, signal) for view in View), made)
        for view in self._views:
            last_ms = lane.last_ms.get(view)
            at = plain[view]
            rounds[view, None] = at if last_ms is None else follow(last_ms, self._gap_ms, at)
        return [bank.look(rounds[bank.source], self._size(bank)) for bank in self._banks]

    def _size(self, bank: Bank) -> int:
        signal = bank.source[1]
        return self._sensors if signal is None else len(signal.assets)
