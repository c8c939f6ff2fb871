"""Which sensors a rule watches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from udfs.catalogue import Catalogue, split_tags
from udfs.conditions.latch import Slots
from udfs.rules.base import Glob, Strict, mistake
from udfs.rules.globs import Texts, matcher
from udfs.wording import hint

KINDS = (
    "acceleration", "angle", "conductivity", "current", "density", "displacement", "energy",
    "flow", "force", "frequency", "gas", "humidity", "level", "ph", "position", "power",
    "pressure", "speed", "state", "temperature", "torque", "vibration", "viscosity", "voltage",
    "weight",
)  # fmt: skip

_LABEL = re.compile(r"[a-z0-9_.:*?\[\]!-]+")

SomeGlobs = Annotated[list[Glob], Field(min_length=1)]


class Selector(Strict):
    """Which sensors: all that match every key given. Globs know * ? and [abc].

    kind, asset_type: one of these. tag: all of these. Equal selectors are equal and hash alike,
    so whoever binds rules looks at each distinct one once.
    """

    kind: Annotated[list[str], Field(min_length=1)] | None = None
    name: Glob | None = None
    asset: Glob | None = None
    facility: Glob | None = None
    gateway: Glob | None = None
    asset_type: SomeGlobs | None = None
    tag: SomeGlobs | None = None

    @field_validator("kind", "asset_type", "tag", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: list[str] | None) -> list[str] | None:
        for word in kind or ():
            if word not in KINDS:
                raise mistake(f'unknown sensor kind "{word}"', hint(word, KINDS))
        return kind

    @field_validator("asset_type", "tag")
    @classmethod
    def _may_fit(cls, globs: list[str] | None) -> list[str] | None:
        for glob in globs or ():
            if glob and not _LABEL.fullmatch(glob):
                raise mistake(
                    f'"{glob}" fits no asset type and no tag',
                    "these are lower-case letters, digits and _ . : - only",
                )
        return globs

    @cached_property
    def key(self) -> tuple[tuple[str, ...], ...]:
        """What it says, key by key, the keys in the order of the fields; empty for one left out."""
        return tuple(_said(getattr(self, name)) for name in type(self).model_fields)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and self.key == other.key

    def slots(self, catalogue: Catalogue) -> Slots:
        """Slots of the gateway's sensors that match, ascending; not to be written to."""
        for glob, text in (self.facility, catalogue.facility), (self.gateway, catalogue.gateway):
            if glob is not None and not matcher(glob)(text):
                return np.empty(0, np.intp)
        return _slots(self, catalogue)


def _said(value: str | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


class _Index:
    """A catalogue as selectors look at it; what none asks for is not made."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def slots(self, selector: Selector) -> Slots:
        """Slots that match all that the selector says of sensors, ascending."""
        steps = []
        for step in self._steps(selector):
            if not step[1]:  # most rules of a large rulebook are about other plants
                return np.empty(0, np.intp)
            steps.append(step)
        steps.sort(key=lambda step: len(step[1]))  # a name first, a glob of many names last
        chosen: Slots | None = None
        for texts, numbers in steps:
            chosen = texts.at(numbers) if chosen is None else texts.among(chosen, numbers)
            if not len(chosen):
                break
        return np.arange(len(self._catalogue)) if chosen is None else chosen

    def _steps(self, selector: Selector) -> Iterator[tuple[Texts, list[int]]]:
        """For each key: the texts that it is about, and the numbers of those that match; the name
        last, as most names are different, and looking for a glob among them costs most."""
        if selector.asset is not None:
            yield self._asset, self._asset.numbers(selector.asset)
        if selector.asset_type is not None:
            yield self._asset_type, _any_of(self._asset_type, selector.asset_type)
        if selector.kind is not None:
            yield self._kind, _any_of(self._kind, selector.kind)
        for glob in selector.tag or ():
            words, owners = self._words
            yield self._tags, np.unique(owners[words.matching(glob)]).tolist()
        if selector.name is not None:
            yield self._name, self._name.numbers(selector.name)

    @cached_property
    def _name(self) -> Texts:
        return Texts(self._catalogue.name)

    @cached_property
    def _asset(self) -> Texts:
        return Texts(self._catalogue.asset)

    @cached_property
    def _asset_type(self) -> Texts:
        return Texts(self._catalogue.asset_type)

    @cached_property
    def _kind(self) -> Texts:
        return Texts(self._catalogue.kind)

    @cached_property
    def _tags(self) -> Texts:
        return Texts(self._catalogue.tags)

    @cached_property
    def _words(self) -> tuple[Texts, Slots]:
        """The tags of all distinct texts, and the number of the text that each is from."""
        pairs = [(w, n) for n, text in enumerate(self._tags.distinct) for w in split_tags(text)]
        return Texts([word for word, _ in pairs]), np.array([n for _, n in pairs], np.intp)


def _any_of(texts: Texts, globs: Sequence[str]) -> list[int]:
    numbers = (number for glob in globs for number in texts.numbers(glob))
    return list(dict.fromkeys(numbers))


@lru_cache(maxsize=64)  # what many rules say, as "*inlet" of signals
def _slots(selector: Selector, catalogue: Catalogue) -> Slots:
    found = _index(catalogue).slots(selector)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=4)  # all rules are bound to one catalogue, then the next; an index is a megabyte
def _index(catalogue: Catalogue) -> _Index:
    return _Index(catalogue)
