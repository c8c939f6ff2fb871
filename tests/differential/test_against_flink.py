"""Random patterns over random events: Flink's MATCH_RECOGNIZE and our matcher find the same.

20 patterns, or 200 with HARDIOT_FAULTS=long. HARDIOT_SEED=n draws others.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from tests.differential.compare import Row, Told, make_rows, run_flink, run_ours, spans
from tests.differential.patterns import QUANTIFIERS, SKIPS, Case, make_case, other_choice
from udfs.patterns.program import Program

pytestmark = pytest.mark.stack

LONG = os.environ.get("HARDIOT_FAULTS") == "long"
SEED = int(os.environ.get("HARDIOT_SEED", "5"))
PATTERNS, EVENTS = (200, 600) if LONG else (20, 400)
FEWEST = 4  # matches of a pattern, by our count: what finds nothing tells nothing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """Both sides of a run. open: numbers of cases in which Flink is free which events it names."""

    rows: list[Row]
    cases: list[Case]
    open: set[int]
    flink: list[list[Told]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    draw = random.Random(SEED)
    rows = make_rows(draw, EVENTS)
    cases: list[Case] = []
    free: set[int] = set()
    wanted = _wanted()
    while len(cases) < PATTERNS:
        case = make_case(draw, len(cases))
        found = run_ours(rows, case)
        unclear = found != run_ours(rows, case, other_choice(case.program))
        news = wanted & set(case.uses)
        if len(found) < FEWEST or (unclear and not _spans_suffice(case)):
            continue
        if len(wanted) >= PATTERNS - len(cases) and not news:  # the last ones see to the cover
            continue
        wanted -= set(case.uses)
        free |= {len(cases)} if unclear else set()
        cases.append(case)
    yield Run(rows, cases, free, run_flink(tmp_path_factory.mktemp("flink"), rows, cases))


def test_finds_what_flink_finds(run: Run) -> None:
    different = [case.query for case in _different(run, run.cases)]
    matches = sum(map(len, run.flink))
    logger.info(
        "seed %d: %d patterns, %d events, %d matches, %d patterns with several readings; %s",
        SEED, len(run.cases), len(run.rows), matches, len(run.open),
        dict(Counter(word for case in run.cases for word in case.uses)),
    )  # fmt: skip
    assert not different, "\n".join(different)


def test_most_patterns_match_and_all_words_are_used(run: Run) -> None:
    assert sum(len(found) >= FEWEST for found in run.flink) >= 0.9 * len(run.cases)
    assert not _wanted() - {word for case in run.cases for word in case.uses}


@pytest.mark.parametrize(
    ("change", "least"),
    [
        pytest.param(lambda p: replace(p, within_ms=p.within_ms + 1), 3, id="within-inclusive"),
        pytest.param(lambda p: replace(p, within_ms=p.within_ms - 250), 3, id="within-shorter"),
        pytest.param(lambda p: replace(p, strict=not p.strict), 10, id="contiguity"),
        pytest.param(
            lambda p: replace(p, skip="to_next" if p.skip == "past_last" else "past_last"),
            5,
            id="skip",
        ),
        pytest.param(lambda p: _ungreedy(p), 2, id="greed-and-not"),
    ],
)
def test_a_broken_semantic_is_seen(run: Run, change, least: int) -> None:
    broken = [replace(case, program=change(case.program)) for case in run.cases]
    assert len(_different(run, broken)) >= least


def _different(run: Run, cases: Sequence[Case]) -> list[Case]:
    different = []
    for number, (case, theirs) in enumerate(zip(cases, run.flink, strict=True)):
        ours = run_ours(run.rows, case)
        equal = spans(ours) == spans(theirs) if number in run.open else ours == theirs
        if not equal:
            different.append(case)
    return different


def _spans_suffice(case: Case) -> bool:
    """Whichever events a match names, do the same matches follow?"""
    return case.program.skip in ("past_last", "to_next")


def _ungreedy(program: Program) -> Program:
    """Nothing ends a wait."""
    waits = tuple(replace(wait, forbidden=frozenset()) for wait in program.waits)
    return replace(program, waits=waits)


def _wanted() -> set[str]:
    free = {word for word, (least, most) in QUANTIFIERS.items() if least != most and word != "?"}
    words = {word or "once" for word in QUANTIFIERS} | {f"{word} reluctant" for word in free}
    relaxed = {"not", "relaxed 1", "relaxed 2", "relaxed 3", "relaxed 2 or more"}
    return words | relaxed | set(SKIPS)
