"""Globs (* ? [abc]) against many texts at once.

    texts = Texts(catalogue.name)
    texts.matching("pump-*.flow")                 # positions of the texts that match, ascending

A plain text costs a look into a dictionary. Another glob is tried on the few texts that begin (or
end) as it does, or have its longest piece in them: cost follows what matches.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import cached_property, lru_cache

import numpy as np

from udfs.conditions.latch import Slots

_SPECIAL = re.compile(r"[*?[]")
_WILD = re.compile(r"\[!?\]?[^\]]*\]|[*?]")
_MOST_KNOWN = 1000
_NONE: Slots = np.empty(0, np.intp)


def is_glob(text: str) -> bool:
    """Whether more than one text may match."""
    return _SPECIAL.search(text) is not None


@lru_cache(maxsize=4096)
def matcher(glob: str) -> Callable[[str], bool]:
    """The test of one text, as `fnmatch.fnmatchcase`."""
    if not is_glob(glob):
        return glob.__eq__
    if "?" in glob or "[" in glob:
        match = re.compile(translate(glob)).match
        return lambda text: match(text) is not None
    head, *middle, tail = glob.split("*")
    least = sum(map(len, (head, *middle, tail)))

    def test(text: str) -> bool:
        if len(text) < least or not (text.startswith(head) and text.endswith(tail)):
            return False
        at, end = len(head), len(text) - len(tail)
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return test


class Texts:
    """n texts, which may repeat; few different ones make it fast."""

    def __init__(self, texts: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        of = [numbers.setdefault(text, len(numbers)) for text in texts]
        self.distinct = list(numbers)
        self._numbers = numbers
        self._known: dict[str, list[int]] = {}  # many rules say "*.temperature"
        self._of = np.array(of, np.intp)
        self._order: Slots = np.argsort(self._of, kind="stable")
        self._order.flags.writeable = False  # what is handed out is part of it
        counts = np.bincount(self._of, minlength=len(numbers))
        self._ends = np.append(0, np.cumsum(counts))

    def matching(self, glob: str) -> Slots:
        """Positions of the texts that match, ascending."""
        return self.at(self.numbers(glob))

    def numbers(self, glob: str) -> list[int]:
        """Numbers of the distinct texts that match; not to be written to."""
        if not is_glob(glob):
            number = self._numbers.get(glob)
            return [] if number is None else [number]
        known = self._known.get(glob)
        if known is None:
            test = matcher(glob)
            known = [number for number in self._candidates(glob) if test(self.distinct[number])]
            if len(self._known) < _MOST_KNOWN:
                self._known[glob] = known
        return known

    def at(self, numbers: Sequence[int]) -> Slots:
        """Positions of the texts with these numbers, ascending."""
        if not numbers:
            return _NONE
        parts = [self._order[self._ends[n] : self._ends[n + 1]] for n in numbers]
        return parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))

    def among(self, positions: Slots, numbers: Sequence[int]) -> Slots:
        """Those of the positions whose text has one of these numbers."""
        wanted = np.zeros(len(self.distinct), np.bool_)
        wanted[numbers] = True
        found: Slots = positions[wanted[self._of[positions]]]
        return found

    def _candidates(self, glob: str) -> Iterable[int]:
        """Numbers of texts among which are all that match."""
        if len(self.distinct) < 64:
            return range(len(self.distinct))
        pieces = _pieces(glob)
        head, tail, longest = pieces[0], pieces[-1], max(pieces, key=len)
        if head and len(head) >= len(tail):
            return self._beginning(self._sorted, head)
        if tail:
            return self._beginning(self._mirrored, tail[::-1])
        return self._containing(longest) if longest else range(len(self.distinct))

    @staticmethod
    def _beginning(by_text: tuple[list[str], list[int]], head: str) -> list[int]:
        texts, numbers = by_text
        begin = bisect_left(texts, head)
        end = bisect_right(texts, head, begin, key=lambda text: text[: len(head)])
        return numbers[begin:end]

    def _containing(self, piece: str) -> Iterator[int]:
        joined, starts = self._joined
        at, last = joined.find(piece), -1
        while at >= 0:
            number = bisect_right(starts, at) - 1
            if number != last:
                yield number
            last = number
            at = joined.find(piece, at + 1)

    @cached_property
    def _sorted(self) -> tuple[list[str], list[int]]:
        order = sorted(range(len(self.distinct)), key=self.distinct.__getitem__)
        return [self.distinct[number] for number in order], order

    @cached_property
    def _mirrored(self) -> tuple[list[str], list[int]]:
        mirrored = [text[::-1] for text in self.distinct]
        order = sorted(range(len(mirrored)), key=mirrored.__getitem__)
        return [mirrored[number] for number in order], order

    @cached_property
    def _joined(self) -> tuple[str, list[int]]:
        """All distinct texts as one, and where each begins."""
        ends = np.cumsum([len(text) + 1 for text in self.distinct])
        return "\n".join(self.distinct), [0, *ends[:-1].tolist()]


def _pieces(glob: str) -> list[str]:
    """The plain texts between what is special: the first one begins, the last one ends a match."""
    pieces = _WILD.split(glob)
    # a [ without its ] stands for itself, which is not worth the trouble
    return [""] if any("[" in piece for piece in pieces) else pieces
