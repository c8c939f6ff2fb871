"""Many conditions of equal form become one over all their entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from udfs.conditions.base import Columns, Condition


def fuse(parts: Sequence[tuple[Condition, int]]) -> Condition:
    """One condition over the entries of all parts, in their order.

    Args: parts: conditions of equal form, at least one, each with its number of entries.
    Raises: ValueError: the forms differ.
    """
    forms = {condition.form for condition, _ in parts}
    if len(forms) != 1:
        raise ValueError(f"conditions of {len(forms)} forms; only one form can be fused")
    first = cast(Columns, parts[0][0])
    columns = {name: _column(parts, name) for name in first.columns}
    # all conditions are dataclasses, which no protocol can say
    return cast(Condition, replace(first, **columns))  # type: ignore[type-var]


def _column(parts: Sequence[tuple[Condition, int]], name: str) -> Any:
    """One array over all entries, or one number if all parts have the same: it costs no memory."""
    values = [getattr(condition, name) for condition, _ in parts]
    if not any(isinstance(value, np.ndarray) for value in values) and len(set(values)) == 1:
        return values[0]
    sizes = (entries for _, entries in parts)
    return np.concatenate(
        [np.broadcast_to(value, (n,)) for value, n in zip(values, sizes, strict=True)]
    )
