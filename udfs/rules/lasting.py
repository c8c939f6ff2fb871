"""How long or how often readings must be beyond a limit, as a rule's author writes it."""

from __future__ import annotations

from typing import Annotated, TypedDict

from pydantic import Field, ValidationInfo, field_validator

from udfs.conditions.times import MOST
from udfs.rules.base import Seconds, Strict, mistake, ms


class TimesModel(Strict):
    """So many of the last so many readings."""

    at_least: Annotated[int, Field(ge=1, le=MOST)]
    of: Annotated[int, Field(ge=1, le=MOST)]

    @field_validator("of")
    @classmethod
    def _enough(cls, of: int, info: ValidationInfo) -> int:
        at_least = info.data.get("at_least")
        if at_least is not None and of < at_least:
            raise mistake(
                f"{of} readings can't hold at least {at_least}", f"give of: {at_least} or more"
            )
        return of


class Patience(TypedDict):
    """What `Latched` takes of it."""

    for_ms: int
    at_least: int | None
    of: int


class Lasting(Strict):
    """Without interruption for `for_s`, or `times` of the last readings."""

    for_s: Seconds = 0
    times: TimesModel | None = None

    @field_validator("times")
    @classmethod
    def _one_of_both(cls, times: TimesModel | None, info: ValidationInfo) -> TimesModel | None:
        if times is not None and info.data.get("for_s"):
            raise mistake("for_s and times in one condition", "keep one of them")
        return times

    @property
    def patience(self) -> Patience:
        """The same for the vectorised form."""
        if self.times is None:
            return Patience(for_ms=ms(self.for_s), at_least=None, of=1)
        return Patience(for_ms=0, at_least=self.times.at_least, of=self.times.of)
