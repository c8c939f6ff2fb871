"""What was sent again: readings of a later part that are in an earlier one already."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


def repeats(part: npt.NDArray[Any], *columns: npt.NDArray[Any]) -> Bools:
    """Which readings are equal in all columns to one of a lower part, shape (n,).

    Equal readings of one part are not repeats: a sensor may well say a thing twice. Values are to
    be given as their bits, for no NaN is equal to another. All arrays have shape (n,).
    """
    order = np.lexsort((part, *columns))
    fresh = np.ones(len(part), np.bool_)
    fresh[1:] = np.logical_or.reduce([c[order[1:]] != c[order[:-1]] for c in columns])
    sorted_part = part[order]
    lowest = sorted_part[np.flatnonzero(fresh)[np.cumsum(fresh) - 1]]
    found = np.empty(len(part), np.bool_)
    found[order] = sorted_part > lowest
    return found
