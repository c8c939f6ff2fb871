"""What all models of the rule language share: strictness, number types, mistakes."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

_DAY_S = 86_400.0

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=_DAY_S, allow_inf_nan=False)]
SomeSeconds = Annotated[float, Field(ge=1, le=_DAY_S, allow_inf_nan=False)]
Glob = Annotated[str, Field(min_length=1)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Periods = npt.NDArray[np.int32]


def mistake(problem: str, fix: str) -> PydanticCustomError:
    """A mistake of a rule's author, with what to do about it."""
    return PydanticCustomError("rule", "{problem}", {"problem": problem, "fix": fix})


class Strict(BaseModel):
    # strict: "80" is not 80, and `yes` is not 1
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def ms(seconds: float) -> int:
    """Seconds of a rule as whole milliseconds."""
    return round(seconds * 1000)
