"""The gateway's side of the ledger: its words, and in them what Kafka acknowledged.

    speaker = Speaker("plant-07", "gw-1")
    speaker.acknowledged(epoch, sequence, readings, fingerprint)    # each raw record, any order
    word = speaker.word(epoch, sent_through=..., readings=..., now_ms=...)

Numbers are told as ranges of MAX_NUMBERS at most, so that a difference is named closely. A range is
in two words of its epoch running, as the same range, so that one lost word does no harm.

A gateway that was killed does not know which of the acknowledged numbers it had told. What was not
told then is never told: the cloud has it counted, but not verified. `acknowledged_through` speaks
of these numbers too, so none of them can be lost without being noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from udfs.fingerprint import total
from udfs.ledger import Word

MAX_NUMBERS = 64  # of a range
MAX_RANGES = 200  # of a word: half of them new, half said for the second time
MAX_UNTOLD = 65_536  # of all epochs: 18 hours at a batch a second

Told = tuple[int, int, int, int]


@dataclass(slots=True)
class _Epoch:
    """untold: sequence -> (readings, fingerprint). repeat: ranges that were told once."""

    untold: dict[int, tuple[int, int]] = field(default_factory=dict)
    repeat: tuple[Told, ...] = ()


class Speaker:
    """Builds the words of one gateway. Pure: no clock, nothing is sent."""

    def __init__(self, facility: str, gateway: str) -> None:
        self._facility, self._gateway = facility, gateway
        self._epochs: dict[int, _Epoch] = {}
        self._untold = 0

    def acknowledged(self, epoch: int, sequence: int, readings: int, fingerprint: int) -> None:
        """Kafka acknowledged a raw record. At the bound the longest known number stays untold."""
        numbers = self._epochs.setdefault(epoch, _Epoch()).untold
        self._untold += sequence not in numbers
        numbers[sequence] = readings, fingerprint
        if self._untold > MAX_UNTOLD:
            oldest = next(found.untold for found in self._epochs.values() if found.untold)
            del oldest[next(iter(oldest))]
            self._untold -= 1

    def epochs(self) -> list[int]:
        """Epochs with something to tell, ascending; an old one is told in a word of its own."""
        return sorted(self._epochs)

    def word(
        self,
        epoch: int,
        sent_through: int,
        readings: int,
        lost: Sequence[tuple[int, int]] = (),
        ended: Sequence[tuple[int, int | None]] = (),
        pending: int | None = None,
        acknowledged_through: int = -1,
        now_ms: int = 0,
    ) -> Word:
        """The next word on an epoch; what it takes from here counts as told.

        Args: all but `now_ms` (wall clock): as `udfs.ledger.Word` has them, from the spool.
        """
        return Word(
            self._facility,
            self._gateway,
            epoch,
            sent_through,
            readings,
            tuple(lost),
            tuple(ended),
            now_ms,
            self._take_ranges(epoch),
            acknowledged_through,
            pending,
        )

    def _take_ranges(self, epoch: int) -> tuple[Told, ...]:
        """Ranges of the word before, and new ones."""
        found = self._epochs.get(epoch)
        if found is None:
            return ()
        again, found.repeat = found.repeat, self._new_ranges(found.untold)
        if not found.repeat:
            del self._epochs[epoch]
        return again + found.repeat

    def _new_ranges(self, untold: dict[int, tuple[int, int]]) -> tuple[Told, ...]:
        """The first ranges of what is untold, which they leave."""
        runs: list[list[int]] = []
        for sequence in sorted(untold):
            if runs and runs[-1][-1] == sequence - 1 and len(runs[-1]) < MAX_NUMBERS:
                runs[-1].append(sequence)
            else:
                runs.append([sequence])
        return tuple(self._range(run, untold) for run in islice(runs, MAX_RANGES // 2))

    def _range(self, run: list[int], untold: dict[int, tuple[int, int]]) -> Told:
        content = [untold.pop(sequence) for sequence in run]
        self._untold -= len(run)
        readings, prints = zip(*content, strict=True)
        return run[0], run[-1], sum(readings), total(*prints)
