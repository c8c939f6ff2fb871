"""A value computed from several sensors of one asset, as an author writes it."""

from __future__ import annotations

from udfs.rules.base import Strict, Word
from udfs.rules.selector import Selector


class SignalModel(Strict):
    """One value an asset: `value` is arithmetic over the names in `of`."""

    of: dict[Word, Selector]
    value: str
    unit: str = ""
