"""Which lines of a batch the server refuses: halves are sent until the bad ones stand alone.

One bad line refuses its whole batch with 400, one of another type than its field is 422 while the
others are written. Lines that are written twice are the same points.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.influx.batches import Part
from jobs.influx.bucket import Answer, Verdict
from udfs.records import Record

MAX_REQUESTS = 400
"""For one batch: a dozen lines of 10,000 are found by it. The undecided then count as refused."""


@dataclass(frozen=True)
class Rejected:
    """Lines of one record that are refused, and what the server said of the first."""

    record: Record
    lines: int
    detail: str


Send = Callable[[pa.StringArray], Answer | None]
_Stretch = tuple[int, int, Answer]


def sift(parts: Sequence[Part], first: Answer, send: Send) -> list[Rejected] | None:
    """Write all lines but those that are refused.

    Args: first: the answer to all of them. send: writes lines; None: it was told to give up.
    Returns: what is refused, by record; None when `send` gave up.
    """
    lines = pa.concat_arrays([part.lines for part in parts])
    waiting: deque[_Stretch] = deque([(0, len(lines), first)])
    bad: list[_Stretch] = []
    requests = 0
    while waiting:
        start, stop, answer = waiting.popleft()
        if stop - start == 1 or requests >= MAX_REQUESTS:
            bad.append((start, stop, answer))
            continue
        middle = (start + stop) // 2
        for begin, end in (start, middle), (middle, stop):
            found = send(lines.slice(begin, end - begin))
            requests += 1
            if found is None:
                return None
            if found.verdict is Verdict.LINES:
                waiting.append((begin, end, found))
    return _by_record(parts, lines, sorted(bad, key=lambda stretch: stretch[0]))


def _by_record(
    parts: Sequence[Part], lines: pa.StringArray, bad: Sequence[_Stretch]
) -> list[Rejected]:
    refused = np.zeros(len(lines), np.int64)
    for start, stop, _ in bad:
        refused[start:stop] = 1
    found: list[Rejected] = []
    begin = 0
    for part in parts:
        end = begin + len(part.lines)
        if count := int(refused[begin:end].sum()):
            at = begin + int(refused[begin:end].argmax())
            said = next(answer for start, stop, answer in bad if start <= at < stop)
            line = lines[at].as_py().strip()
            detail = f"{count} of {end - begin} lines; {said.status}: {said.text}; first: {line}"
            found.append(Rejected(part.record, count, detail[:1000]))
        begin = end
    return found
