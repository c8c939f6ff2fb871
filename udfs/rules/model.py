"""The model of a rule: which sensors, one condition, a severity and a text. docs/rules.md explains.

`udfs/rules/rulebook.py` reads rules from YAML and says where their mistakes are.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from udfs.batch import Bools
from udfs.catalogue import Catalogue
from udfs.conditions.latch import Slots
from udfs.rules.conditions import ConditionModel, Strict, mistake
from udfs.wording import hint, placeholders, render

KINDS = (
    "acceleration", "angle", "conductivity", "current", "density", "displacement", "energy",
    "flow", "force", "frequency", "gas", "humidity", "level", "ph", "position", "power",
    "pressure", "speed", "state", "temperature", "torque", "vibration", "viscosity", "voltage",
    "weight",
)  # fmt: skip

# What a text may name, with a value of each.
EXAMPLE: dict[str, str | float] = {
    "sensor": "pump-001.bearing-temperature",
    "asset": "pump-001",
    "facility": "plant-0001",
    "gateway": "gw-1",
    "kind": "temperature",
    "unit": "°C",
    "value": 96.5,
    "limit": 90.0,
    "duration_s": 5.0,
    "rule": "temperature-high",
    "severity": "warning",
}
PLACEHOLDERS = tuple(EXAMPLE)

Glob = Annotated[str, Field(min_length=1)]


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


class Rule(Strict):
    """One rule. `tests` belongs to the rule language to come and is carried along unread."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    version: Annotated[int, Field(ge=1)] = 1
    sensors: Selector = Selector()
    condition: ConditionModel
    severity: Literal["info", "warning", "critical"]
    text: Annotated[str, Field(min_length=1)]
    tests: list[dict[str, Any]] = Field(default_factory=list)

    @field_validator("text")
    @classmethod
    def _fillable(cls, text: str) -> str:
        try:
            names = placeholders(text)
        except ValueError as error:
            raise mistake(f"text: {error}", "write {{ and }} for braces") from None
        for name in names:
            if name not in PLACEHOLDERS:
                raise mistake(f'unknown placeholder "{{{name}}}"', hint(name, PLACEHOLDERS))
        try:
            render(text, EXAMPLE)
        except (ValueError, LookupError, AttributeError) as error:
            raise mistake(f"text: {error}", "formats are as in {value:.1f}") from None
        return text

    @property
    def key(self) -> str:
        """Name and version: the state of a rule belongs to it."""
        return f"{self.name}@{self.version}"
