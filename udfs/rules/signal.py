"""A value computed from several sensors of one asset, as an author writes it."""

from __future__ import annotations

import keyword
import re
from functools import cached_property
from typing import Any

from pydantic import ValidationInfo, field_validator

from udfs.rules.base import Strict, mistake
from udfs.rules.formula import FUNCTIONS, BadFormula, Formula, parse
from udfs.rules.selector import Selector

MAX_INPUTS = 16

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


class SignalModel(Strict):
    """One value an asset: `value` is arithmetic over the names in `of`.

    of: for each name, which of the asset's sensors it is; a text alone is a glob of its name.
    unit: of the value, for people.
    """

    of: dict[str, Selector]
    value: str
    unit: str = ""

    @field_validator("of", mode="before")
    @classmethod
    def _named(cls, of: Any) -> Any:
        if not isinstance(of, dict):
            return of
        if not 1 <= len(of) <= MAX_INPUTS:
            raise mistake(f"{len(of)} names in of", f"give 1 to {MAX_INPUTS}")
        wrong = [str(name) for name in of if not _is_name(name)]
        if wrong:
            raise mistake(
                f'"{", ".join(wrong)}" cannot be a name in of',
                "take a-z, digits and _, a letter first, and no word that value knows already",
            )
        return {n: {"name": glob} if isinstance(glob, str) else glob for n, glob in of.items()}

    @field_validator("value")
    @classmethod
    def _arithmetic(cls, value: str, info: ValidationInfo) -> str:
        try:
            parse(value, info.data.get("of"))
        except BadFormula as bad:
            fixes = dict.fromkeys(fix for _, fix in bad.problems)
            raise mistake(str(bad), "; ".join(fixes)) from None
        return value

    @cached_property
    def formula(self) -> Formula:
        """What `value` says."""
        return parse(self.value, self.of)


def _is_name(name: Any) -> bool:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return False
    return name not in FUNCTIONS and not keyword.iskeyword(name)
