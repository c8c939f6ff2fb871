"""What gateways said to the ledger, from table `ledger`: ranges, losses, and when which number was.

A number's time is not told. Between two words it is taken in proportion: a gateway numbers its
ticks, so that is right to a few seconds while it ran.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.batch import Refused
from udfs.book import Range
from udfs.ledger import Word, decode_word

COLUMNS = ("gateway", "body")

Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lost:
    """Batches that will not come, and when they would have been, UTC epoch ms."""

    epoch: int
    first: int
    last: int
    since_ms: int
    until_ms: int


class Words:
    """The words of one gateway."""

    def __init__(self, words: Iterable[Word]) -> None:
        self._words = sorted(words, key=lambda word: (word.epoch, word.sent_ms))
        self._times = {
            epoch: _times(self._words, epoch) for epoch in {w.epoch for w in self._words}
        }
        self._ended = {e: last for word in self._words for e, last in word.ended}

    def __len__(self) -> int:
        return len(self._words)

    def when(self, epoch: int, number: int) -> int:
        """About when the gateway made that batch, UTC epoch ms."""
        numbers, times = self._times[epoch]
        return int(np.interp(number, numbers, times))

    def lost(self) -> list[Lost]:
        """What was declared lost, each once."""
        found = {(w.epoch, *pair) for w in self._words for pair in w.lost}
        return [
            Lost(epoch, first, last, self.when(epoch, first), self.when(epoch, last))
            for epoch, first, last in sorted(found)
        ]

    def chains(self) -> list[list[Range]]:
        """Ranges in the order of numbers, with nothing but losses between those of a chain."""
        found = {Range(word.epoch, *told) for word in self._words for told in word.ranges}
        lost = defaultdict(list)
        for each in self.lost():
            lost[each.epoch].append((each.first, each.last))
        chains: list[list[Range]] = []
        for told in sorted(found):
            if not chains or not self._follows(chains[-1][-1], told, lost[told.epoch]):
                chains.append([])
            chains[-1].append(told)
        return chains

    def _follows(self, before: Range, told: Range, lost: list[tuple[int, int]]) -> bool:
        """Whether all numbers between two ranges are lost."""
        next_ = before.last + 1
        if before.epoch != told.epoch:
            if self._ended.get(before.epoch) != before.last:
                return False
            next_ = 0
        for first, last in sorted(lost):
            if first <= next_ <= last:
                next_ = last + 1
        return next_ == told.first


def _times(words: list[Word], epoch: int) -> tuple[Longs, Longs]:
    """Numbers and times of one epoch, both rising."""
    pairs = [(w.sent_through, w.sent_ms) for w in words if w.epoch == epoch]
    numbers, times = np.array(pairs, np.int64).reshape(-1, 2).T
    first = np.unique(numbers, return_index=True)[1]
    return numbers[first], np.maximum.accumulate(times[first])


def read_words(tables: Iterable[pa.Table]) -> dict[str, Words]:
    """By gateway. Args: tables: COLUMNS. What is no word is in the dead letters."""
    found: dict[str, list[Word]] = defaultdict(list)
    for rows in tables:
        gateways = rows["gateway"].cast(pa.string()).to_pylist()
        for gateway, body in zip(gateways, rows["body"].to_pylist(), strict=True):
            try:
                word = decode_word(body)
            except Refused:
                continue
            if word.gateway == gateway:
                found[gateway].append(word)
    return {gateway: Words(words) for gateway, words in found.items()}
