"""Which sensors a rule watches."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from udfs.batch import Bools
from udfs.catalogue import Catalogue
from udfs.conditions.latch import Slots
from udfs.rules.base import Glob, Strict, mistake
from udfs.wording import hint

KINDS = (
    "acceleration", "angle", "conductivity", "current", "density", "displacement", "energy",
    "flow", "force", "frequency", "gas", "humidity", "level", "ph", "position", "power",
    "pressure", "speed", "state", "temperature", "torque", "vibration", "viscosity", "voltage",
    "weight",
)  # fmt: skip


class Selector(Strict):
    """Which sensors: all that match every key given. Globs know * ? and [abc]."""

    kind: Annotated[list[str], Field(min_length=1)] | None = None
    name: Glob | None = None
    asset: Glob | None = None
    facility: Glob | None = None
    gateway: Glob | None = None

    @field_validator("kind", mode="before")
    @classmethod
    def _one_or_more(cls, kind: Any) -> Any:
        return [kind] if isinstance(kind, str) else kind

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: list[str] | None) -> list[str] | None:
        for word in kind or ():
            if word not in KINDS:
                raise mistake(f'unknown sensor kind "{word}"', hint(word, KINDS))
        return kind

    def slots(self, catalogue: Catalogue) -> Slots:
        """Slots of the gateway's sensors that match, ascending."""
        here = _matches(self.facility, catalogue.facility)
        if not (here and _matches(self.gateway, catalogue.gateway)):
            return np.empty(0, np.intp)
        chosen = np.ones(len(catalogue), np.bool_)
        if self.kind is not None:
            chosen &= _mask(catalogue.kind, set(self.kind).__contains__)
        if self.asset is not None:
            chosen &= _mask(catalogue.asset, lambda asset: _matches(self.asset, asset))
        if self.name is not None:
            chosen &= _mask(catalogue.name, lambda name: _matches(self.name, name))
        return np.flatnonzero(chosen)


def _matches(glob: str | None, text: str) -> bool:
    return glob is None or fnmatchcase(text, glob)


def _mask(texts: tuple[str, ...], test: Callable[[str], bool]) -> Bools:
    answers = {text: test(text) for text in set(texts)}
    return np.array([answers[text] for text in texts], np.bool_)
