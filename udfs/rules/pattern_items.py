"""The items of a pattern's sequence, as an author writes them.

A name is an event, once. `{event: x, times: 2}`, `{not: x}`, `{any: [...]}`, `{all: [...]}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from udfs.patterns.parts import Absent, Either, Every, Part, Step, once
from udfs.rules.base import Strict, Word, mistake
from udfs.wording import hint

MOST_TIMES = 100
MOST_IN_ALL = 6  # each more doubles the program

_KEYS: dict[str, tuple[str, ...]] = {
    "event": ("times", "greedy", "optional"),
    "not": (),
    "any": (),
    "all": (),
}

Count = Annotated[int, Field(ge=1, le=MOST_TIMES)]


def _read_item(given: Any) -> Any:
    """A mapping in any case. Its keys are looked at here, so that hints fit its kind."""
    if isinstance(given, str):
        return {"event": given}
    if isinstance(given, Strict):
        return given
    if not isinstance(given, dict):
        raise mistake(f"{given!r} is no item of a sequence", "write an event's name, or {not: x}")
    kinds = [key for key in _KEYS if key in given]
    if len(kinds) != 1:
        raise mistake("an item needs one of event, not, any, all", "write a name, or {not: x}")
    known = (kinds[0], *_KEYS[kinds[0]])
    for key in given:
        if key not in known:
            raise mistake(f'unknown key "{key}" beside "{kinds[0]}"', hint(str(key), known))
    return given


def _kind(item: Any) -> str | None:
    if isinstance(item, Strict):
        return next(field.alias or name for name, field in type(item).model_fields.items())
    return next((key for key in _KEYS if key in item), None)


def _read_times(given: Any) -> Any:
    if isinstance(given, int) and not isinstance(given, bool):
        return {"at_least": given, "at_most": given}
    known = ("at_least", "at_most")
    for key in given if isinstance(given, dict) else ():
        if key not in known:
            raise mistake(f'unknown key "{key}" in times', hint(str(key), known))
    return given


class TimesModel(Strict):
    """How often; without at_most: without end."""

    at_least: Count = 1
    at_most: Count | None = None

    @field_validator("at_most")
    @classmethod
    def _not_less(cls, most: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get("at_least", 1)
        if most is not None and most < least:
            raise mistake(f"at_most {most} is less than at_least {least}", "exchange them")
        return most


class EventItem(Strict):
    """An event: once, several times, or perhaps."""

    event: Word
    times: Annotated[TimesModel, BeforeValidator(_read_times)] = TimesModel(at_most=1)
    greedy: bool = True
    optional: bool = False

    @field_validator("optional")
    @classmethod
    def _once(cls, optional: bool, info: ValidationInfo) -> bool:
        times = info.data.get("times")
        if optional and times is not None and times.at_least > 1:
            problem = f"optional beside at_least {times.at_least}"
            raise mistake(problem, "leave one of them out")
        return optional

    @property
    def exact(self) -> bool:
        """Is its number fixed?"""
        return self.times.at_least == self.times.at_most and not self.optional

    def names(self) -> list[str]:
        """Names of events in it."""
        return [self.event]

    def part(self) -> Step:
        """What the compiler knows."""
        least = 0 if self.optional else self.times.at_least
        return Step(self.event, frozenset((self.event,)), least, self.times.at_most, self.greedy)


class NotItem(Strict):
    """What must not happen before the next item; at the end: until the time is up."""

    never: Word = Field(alias="not")

    def names(self) -> list[str]:
        """Names of events in it."""
        return [self.never]

    def part(self) -> Absent:
        """What the compiler knows."""
        return Absent(frozenset((self.never,)))


class AnyItem(Strict):
    """One of several events or sequences; of two that end at once, the first."""

    options: list[Option] = Field(alias="any")

    @field_validator("options")
    @classmethod
    def _several(cls, options: list[list[Item]]) -> list[list[Item]]:
        if len(options) < 2 or [] in options:
            raise mistake("any: needs two or more items", "write [a, b], or [[a, b], c]")
        for option in options:
            if isinstance(option[0], NotItem):
                raise mistake("an item of any: begins with not", "write the not before any:")
        return options

    def names(self) -> list[str]:
        """Names of events in it."""
        return [name for option in self.options for name in names_of(option)]

    def part(self) -> Either:
        """What the compiler knows."""
        return Either(tuple(parts_of(option) for option in self.options))


class AllItem(Strict):
    """Several events, in any order."""

    items: list[Item] = Field(alias="all")

    @field_validator("items")
    @classmethod
    def _events(cls, items: list[Item]) -> list[Item]:
        if not all(isinstance(item, EventItem) and item.exact for item in items):
            raise mistake("all: takes events only", "write names, or {event: x, times: 2}")
        count = sum(item.times.at_least for item in items if isinstance(item, EventItem))
        if not 2 <= count <= MOST_IN_ALL:
            raise mistake(f"all: of {count} events", f"two to {MOST_IN_ALL} can be in any order")
        return items

    def names(self) -> list[str]:
        """Names of events in it."""
        return names_of(self.items)

    def part(self) -> Every:
        """What the compiler knows."""
        events = (item for item in self.items if isinstance(item, EventItem))
        return Every(tuple(once(e.event) for e in events for _ in range(e.times.at_least)))


Item = Annotated[
    Annotated[EventItem, Tag("event")]
    | Annotated[NotItem, Tag("not")]
    | Annotated[AnyItem, Tag("any")]
    | Annotated[AllItem, Tag("all")],
    Discriminator(_kind),
    BeforeValidator(_read_item),
]
Option = Annotated[
    list[Item], BeforeValidator(lambda given: given if isinstance(given, list) else [given])
]
AnyItem.model_rebuild()
AllItem.model_rebuild()


def names_of(items: Sequence[Item]) -> list[str]:
    """Names of the events in some items, each once, in order."""
    return list(dict.fromkeys(name for item in items for name in item.names()))


def parts_of(items: Sequence[Item]) -> tuple[Part, ...]:
    """What the compiler knows of a sequence."""
    return tuple(item.part() for item in items)


def next_names(items: Sequence[Item]) -> Iterator[str]:
    """Names that may come first in a sequence."""
    for item in items:
        if isinstance(item, NotItem):
            continue
        if isinstance(item, AnyItem):
            for option in item.options:
                yield from next_names(option)
        else:
            yield from item.names()
        if not (isinstance(item, EventItem) and item.optional):
            return
