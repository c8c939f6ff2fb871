"""A chunk written by hand, section by section: as it must be, and each way in which it must not."""

import numpy as np
import pytest

from tests.udfs.archive.chunks import sealed
from udfs.archive.chunk import decode
from udfs.archive.packing import Writer, zigzag
from udfs.archive.series import write_series

STARTS = np.array([0, 1])  # two sensors, with one and two readings in two batches
STEADY = 1 << 8  # key of a sensor whose changes have 0 bytes


def forged(
    *,
    complete=1,
    backlog=(0, 1),
    lengths=(2, 0),
    readings=3,
    slots=(4, 9),
    counts=(1, 2),
    steps=(2, 1, 1),
    scale=(1, 2),
    key=(STEADY, STEADY),
    offsets=(0, 5, 7),
    quality=(0, 2, 0),
) -> bytes:
    writer = Writer()

    def column(values) -> None:
        writer.column(np.array(values, np.int64), usual=0)

    for text in ("plant-07", "gw-1"):
        writer.text(text)
    for number in (60_000, 1, complete, 0, 2):  # minute, revision, ..., missing, batches
        writer.number(number)
    for numbers in ([1, 1], [7, 8], [60_000, 61_000], [0, 0], [1, 1]):
        writer.progression(np.array(numbers))
    column(backlog)
    column(lengths)
    writer.text("ab")
    writer.number(readings)
    writer.number(len(slots))
    writer.progression(np.array(slots))
    column(counts)
    column(steps)
    writer.number(0)  # odd values
    column(scale)
    writer.words(zigzag(np.array([15, 2137])))
    column(key)
    for values in (offsets, quality):
        writer.number(1)
        if values is offsets:
            write_series(writer, np.array(offsets), STARTS)
        else:
            column(quality)
    return sealed(writer.packed())


def test_as_it_must_be():
    chunk = decode(forged())
    assert chunk.sensor.tolist() == [4, 9, 9]
    assert chunk.batch.tolist() == [1, 0, 1]
    assert chunk.value.tolist() == [1.5, 21.37, 21.37]
    assert chunk.times_ms().tolist() == [61_000, 60_005, 61_007]
    assert chunk.quality.tolist() == [0, 2, 0]
    assert chunk.batches.traceparent == ("ab", "")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"complete": 2}, "2 is not between 0 and 1"),
        ({"backlog": (0, 2)}, "between 0 and 1"),
        ({"lengths": (3, -1)}, "between 0 and 2"),
        ({"lengths": (1, 0)}, "lengths of the traceparents"),
        ({"readings": 4}, "do not have all readings"),
        ({"readings": 1}, "2 is not between 0 and 1"),
        ({"slots": (9, 4)}, "do not ascend"),
        ({"slots": (4, 4)}, "do not ascend"),
        ({"slots": (-1, 4)}, "between 0 and 4294967295"),
        ({"slots": (4, 2**32)}, "between 0 and 4294967295"),
        ({"counts": (0, 3)}, "between 1 and 3"),
        ({"counts": (-1, 4)}, "between 1 and 3"),
        ({"counts": (2, 2)}, "do not have all readings"),
        ({"steps": (0, 1, 1)}, "between 0 and 1"),
        ({"steps": (3, 1, 1)}, "between 0 and 2"),
        ({"steps": (1, 2, 1)}, "between 0 and 1"),
        ({"steps": (1, 2, -1)}, "between 0 and 2"),
        ({"scale": (-2, 0)}, "between -1 and 9"),
        ({"scale": (10, 0)}, "between -1 and 9"),
        ({"key": (9 * 512, 0)}, "between 0 and 4607"),
        ({"key": (-1, 0)}, "between 0 and 4607"),
        ({"offsets": (2**31, 0, 0)}, "between -2147483648 and 2147483647"),
        ({"quality": (256, 0, 0)}, "between 0 and 255"),
        ({"quality": (-1, 0, 0)}, "between 0 and 255"),
    ],
)
def test_as_it_must_not_be(wrong, words):
    with pytest.raises(ValueError, match=words):
        decode(forged(**wrong))
