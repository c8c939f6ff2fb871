"""A pattern over condition events, as an author writes it; docs/patterns.md says what it means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from udfs.patterns.checks import can_match, may_begin_with, may_miss
from udfs.patterns.compiler import EmptyMatch, TooLarge, compile_pattern
from udfs.patterns.program import Program, Skip
from udfs.rules.base import SomeSeconds, Strict, Word, mistake, ms
from udfs.rules.conditions import ConditionModel
from udfs.rules.pattern_items import EventItem, Item, NotItem, names_of, next_names, parts_of
from udfs.rules.selector import Selector
from udfs.rules.signal import SignalModel
from udfs.wording import hint


class EventModel(Strict):
    """A condition whose begin (or end) is an event of the pattern."""

    sensors: Selector = Selector()
    signal: SignalModel | None = None
    condition: ConditionModel
    on: Literal["begin", "end"] = "begin"

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_word(cls, given: Any) -> Any:
        """YAML 1.1 reads the key `on` as true."""
        if isinstance(given, dict) and True in given:
            return {"on" if key is True else key: value for key, value in given.items()}
        return given


def _read_skip(given: Any) -> Any:
    """A word, or {to_first: x}, {to_last: x}."""
    if given in ("past_last", "to_next"):
        return {"where": given}
    if isinstance(given, dict) and len(given) == 1:
        where, label = next(iter(given.items()))
        if where in ("to_first", "to_last") and isinstance(label, str):
            return {"where": where, "label": label}
    if isinstance(given, SkipModel):
        return given
    shown = next(iter(given), "") if isinstance(given, dict) else given
    problem = f'unknown skip "{shown}"'
    if shown in ("to_first", "to_last"):
        problem = f"{shown} without an event"
    raise mistake(problem, "past_last, to_next, {to_first: an event} or {to_last: an event}")


class SkipModel(Strict):
    """Where the search goes on after a match."""

    where: Skip = "past_last"
    label: str | None = None


class PatternModel(Strict):
    """Which events in which order within which time.

    Whether the events are there is for the rule to ask (`check_events`): it has them.
    """

    sequence: list[Item]
    within_s: SomeSeconds
    contiguity: Literal["strict", "relaxed"] = "relaxed"
    skip: Annotated[SkipModel, BeforeValidator(_read_skip)] = Field(SkipModel())

    @field_validator("sequence")
    @classmethod
    def _possible(cls, items: list[Item]) -> list[Item]:
        if not items:
            raise mistake("an empty sequence", "name the events, in order")
        if isinstance(items[0], NotItem):
            fix = "begin with what happens; silence is a condition, no_data"
            raise mistake("a sequence that begins with not", fix)
        _check_end(items[-1])
        _check_nots(items)
        try:
            program = compile_pattern(parts_of(items), 1)
        except EmptyMatch:
            raise mistake("everything in it is optional", "make one event compulsory") from None
        except TooLarge:
            raise mistake("the pattern is too large", "ask for fewer times or options") from None
        if not can_match(program):
            fix = "what repeats takes every such event: give it times: N, or greedy: false"
            raise mistake("the sequence can never happen", fix)
        return items

    @field_validator("contiguity")
    @classmethod
    def _some_effect(cls, contiguity: str, info: ValidationInfo) -> str:
        between = info.data.get("sequence", [])[:-1]
        if contiguity == "strict" and any(isinstance(item, NotItem) for item in between):
            fix = "leave the not out: nothing may come between"
            raise mistake("not between events of a strict pattern", fix)
        return contiguity

    @field_validator("skip")
    @classmethod
    def _somewhere(cls, skip: SkipModel, info: ValidationInfo) -> SkipModel:
        items = info.data.get("sequence")
        if skip.label is None or items is None:
            return skip
        names = names_of([item for item in items if not isinstance(item, NotItem)])
        if skip.label not in names:
            raise mistake(f'skip to an unknown event "{skip.label}"', hint(skip.label, names))
        program = compile_pattern(parts_of(items), 1)
        if may_miss(program, skip.label):
            fix = "skip to an event that every match has, or to_next"
            raise mistake(f"skip to {skip.label}, which a match may lack", fix)
        if may_begin_with(program, skip.label):
            raise mistake(f"skip to {skip.label}, which begins the match", "write to_next")
        return skip

    def check_events(self, events: Collection[str]) -> None:
        """Raises: a mistake: one of its events is not among these."""
        for name in names_of(self.sequence):
            if name not in events:
                raise mistake(f'the pattern names an unknown event "{name}"', hint(name, events))

    def build(self, events: Sequence[str]) -> Program:
        """The program, for a rule with these events. Raises: a mistake, as `check_events`."""
        self.check_events(events)
        strict = self.contiguity == "strict"
        parts = parts_of(self.sequence)
        return compile_pattern(parts, ms(self.within_s), strict, self.skip.where, self.skip.label)


class ClearModel(Strict):
    """What ends the alert of a pattern: an event, or so long without another match."""

    event: Word | None = None
    after_s: SomeSeconds | None = None

    @field_validator("after_s")
    @classmethod
    def _one_way(cls, after_s: float | None, info: ValidationInfo) -> float | None:
        if after_s is not None and info.data.get("event") is not None:
            raise mistake("clear by an event and after_s", "keep one of them")
        return after_s

    @model_validator(mode="after")
    def _some_way(self) -> ClearModel:
        if self.event is None and self.after_s is None:
            raise mistake("clear without event or after_s", "add one of them")
        return self

    def check_events(self, events: Collection[str]) -> None:
        """Raises: a mistake: its event is not among these."""
        if self.event is not None and self.event not in events:
            problem = f'the alert is cleared by an unknown event "{self.event}"'
            raise mistake(problem, hint(self.event, events))


def _check_end(last: Item) -> None:
    """At the end the first event that completes the match is taken, and nothing after it."""
    if not isinstance(last, EventItem):
        return
    if last.optional:
        problem = f"{last.event} is optional at the end"
        raise mistake(problem, "leave it out: the match is complete without it")
    if last.times.at_most is not None and not last.exact:
        least = last.times.at_least
        problem = f"at_most at the end: the match is complete with {last.event} number {least}"
        raise mistake(problem, "leave at_most out")


def _check_nots(items: Sequence[Item]) -> None:
    for place, item in enumerate(items):
        if isinstance(item, NotItem) and item.never in next_names(items[place + 1 :]):
            problem = f"{item.never} must not happen, and is waited for next"
            raise mistake(problem, "remove one of the two")
