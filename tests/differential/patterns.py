"""Random patterns that both sides can say: as parts of ours, and as a query of Flink's.

A strict pattern is one variable a step. A relaxed one has a filler before each event: a variable
that takes what may be passed over there. An endless step is its least events, and then what the
next filler takes of it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from udfs.patterns.checks import can_match, may_begin_with, may_miss
from udfs.patterns.compiler import EmptyMatch, compile_pattern
from udfs.patterns.parts import Absent, Names, Part, Step
from udfs.patterns.program import Program

NAMES = frozenset("abcde")
STEPS = 4
COLUMNS = [f"{kind}{step}" for step in range(STEPS) for kind in ("first", "last", "count")]
SKIPS = ("past_last", "to_next", "to_first", "to_last")

QUANTIFIERS: dict[str, tuple[int, int | None]] = {
    "": (1, 1), "?": (0, 1), "*": (0, None), "+": (1, None), "{2}": (2, 2), "{1,2}": (1, 2),
    "{1,3}": (1, 3), "{2,3}": (2, 3), "{0,2}": (0, 2), "{2,}": (2, None),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One pattern on both sides. uses: its quantifiers and its skip strategy, as words."""

    program: Program
    query: str
    labels: tuple[str, ...]
    uses: tuple[str, ...]


@dataclass
class _Draft:
    """A pattern while it is made. goals: (skip, label, variable) that it could skip to."""

    strict: bool
    parts: list[Part] = field(default_factory=list)
    pattern: list[str] = field(default_factory=list)
    define: list[str] = field(default_factory=list)
    measures: list[str] = field(default_factory=list)
    goals: list[tuple[str, str, str]] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)

    def variable(self, name: str, quantifier: str, names: Names) -> None:
        self.pattern.append(name + quantifier)
        self.define.append(f"{name} AS {_among(name, names)}")

    def measure(self, place: int, first: str, last: str, count: str) -> None:
        columns = COLUMNS[3 * place : 3 * place + 3]
        values = zip((first, last, count), columns, strict=True)
        self.measures += [f"CAST({value} AS INT) AS {column}" for value, column in values]


def make_case(draw: random.Random, number: int) -> Case:
    """A pattern that can match."""
    while True:
        draft = (_strict if draw.random() < 0.6 else _relaxed)(draw)
        case = _finished(draw, draft, number) if draft else None
        if case is not None and can_match(case.program):
            return case


def other_choice(program: Program) -> Program:
    """The program with its choices in reverse: where it finds the same, nothing is ambiguous."""
    waits = tuple(replace(wait, then=wait.then[::-1]) for wait in program.waits)
    return replace(program, waits=waits, first=program.first[::-1])


def _strict(draw: random.Random) -> _Draft | None:
    draft = _Draft(strict=True)
    after_greedy = False
    count = draw.randint(2, STEPS)
    for place in range(count):
        quantifier = draw.choice([*QUANTIFIERS, "", "+", "*"])
        least, most = QUANTIFIERS[quantifier]
        last = place == count - 1
        if least == 0 and (last or after_greedy):
            return None  # the match would be complete without it; and Flink refuses the other
        # Flink refuses a reluctant ? and a greedy end; {n} is neither
        free = least != most and quantifier != "?"
        greedy = not free or (not last and draw.random() < 0.6)
        after_greedy = free and greedy
        names, label = _names(draw), f"V{place}"
        draft.parts.append(Step(label, names, least, most, greedy))
        draft.variable(label, quantifier if greedy else quantifier + "?", names)
        draft.measure(place, f"FIRST({label}.seq)", f"LAST({label}.seq)", f"COUNT({label}.seq)")
        draft.goals += [("to_first", label, label), ("to_last", label, label)]
        draft.uses.append((quantifier or "once") + (" reluctant" if not greedy else ""))
    return draft


def _relaxed(draw: random.Random) -> _Draft | None:
    draft = _Draft(strict=False)
    chosen = [_names(draw) for _ in range(draw.randint(2, STEPS))]
    # what must not come before the event of that place
    nevers = [_never(draw, chosen[place - 1] | names) for place, names in enumerate(chosen)]
    counting = ""  # the filler that takes the rest of an endless step
    nevers = [frozenset(), *nevers[1:], frozenset()]
    for place, names in enumerate(chosen):
        least = draw.choice([1, 1, 2, 3])
        label, endless = f"V{place}", False
        # before the last step only: elsewhere our endless step goes on past what follows it
        if place + 2 == len(chosen) and not names & chosen[place + 1]:
            endless = draw.random() < 0.8
        if nevers[place]:
            draft.parts.append(Absent(nevers[place]))
            draft.uses.append("not")
        draft.parts.append(Step(label, names, least, None if endless else least))
        draft.uses.append(f"relaxed {least}" + (" or more" if endless else ""))
        for repeat in range(least):
            if repeat or place:
                passed = NAMES - names - (nevers[place + 1] if repeat else nevers[place])
                _filler(draw, draft, f"F{place}{repeat}", passed)
            draft.variable(f"{label}{repeat}", "", names)
        first, last = f"{label}0", f"{label}{least - 1}"
        draft.goals.append(("to_first", label, first))
        count, newest = str(least), f"LAST({last}.seq)"
        if endless:
            counting = f"F{place + 1}0"
            if not NAMES - chosen[place + 1] - nevers[place + 1]:
                return None
            inside = _among(counting, names)
            count = f"{least} + COALESCE(SUM(CASE WHEN {inside} THEN 1 ELSE 0 END), 0)"
            newest = f"COALESCE(MAX(CASE WHEN {inside} THEN {counting}.seq END), {newest})"
        else:
            draft.goals.append(("to_last", label, last))
        draft.measure(place, f"FIRST({first}.seq)", newest, count)
    return draft


def _filler(draw: random.Random, draft: _Draft, name: str, passed: Names) -> None:
    if passed:
        draft.variable(name, draw.choice(["*", "*?"]), passed)


def _names(draw: random.Random) -> Names:
    return frozenset(draw.sample(sorted(NAMES), draw.choice([1, 1, 2, 3])))


def _never(draw: random.Random, needed: Names) -> Names:
    others = sorted(NAMES - needed)
    return frozenset(draw.sample(others, 1)) if others and draw.random() < 0.3 else frozenset()


def _among(variable: str, names: Names) -> str:
    # no IN: the planner cannot turn it into anything inside an aggregate
    return f"({' OR '.join(f'{variable}.name = {name!r}' for name in sorted(names))})"


_QUERY = """
SELECT {number}, found.* FROM events MATCH_RECOGNIZE (
    PARTITION BY asset ORDER BY at_time, seq
    MEASURES {measures}
    ONE ROW PER MATCH AFTER MATCH SKIP {skip}
    PATTERN ({pattern}) WITHIN INTERVAL '{within}' SECOND
    DEFINE {define}
) AS found
"""


def _finished(draw: random.Random, draft: _Draft, number: int) -> Case | None:
    skip = draw.choice(SKIPS)
    goals = [goal for goal in draft.goals if goal[0] == skip]
    _, label, variable = draw.choice(goals) if goals else ("", None, "")
    if label is None and skip not in ("past_last", "to_next"):
        return None
    within_ms = draw.randrange(2000, 12_500, 500)
    try:
        program = compile_pattern(draft.parts, within_ms, draft.strict, skip, label)
    except EmptyMatch:
        return None
    # Flink fails where it would skip to nowhere, or to the first event again
    if label and (may_begin_with(program, label) or may_miss(program, label)):
        return None
    for column in COLUMNS[len(draft.measures) :]:
        draft.measures.append(f"CAST(NULL AS INT) AS {column}")
    words = {"past_last": "PAST LAST ROW", "to_next": "TO NEXT ROW"}
    query = _QUERY.format(
        number=number,
        measures=", ".join(draft.measures),
        skip=words.get(skip) or f"{skip.replace('_', ' ').upper()} {variable}",
        pattern=" ".join(draft.pattern),
        within=f"{within_ms / 1000:.3f}",
        define=", ".join(draft.define),
    )
    labels = tuple(part.label for part in draft.parts if isinstance(part, Step))
    return Case(program, query, labels, (*draft.uses, skip))
