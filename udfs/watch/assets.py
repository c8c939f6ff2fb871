"""The assets of one gateway, numbered in the order of their first sensors."""

from __future__ import annotations

import numpy as np

from udfs.catalogue import Catalogue
from udfs.conditions.latch import Slots


class Assets:
    """name: one an asset. of_slot: number of each sensor's asset, shape (sensors,).

    A catalogue that grows only appends: an asset keeps its number.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.number = {name: n for n, name in enumerate(dict.fromkeys(catalogue.asset))}
        self.name = tuple(self.number)
        self.of_slot: Slots = np.array([self.number[name] for name in catalogue.asset], np.intp)

    def numbers(self, names: tuple[str, ...]) -> Slots:
        """The numbers of these assets."""
        return np.array([self.number[name] for name in names], np.intp)
