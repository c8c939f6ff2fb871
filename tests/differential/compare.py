"""Both sides on the same events, as rows that can be compared."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from jobs.local import java
from tests.differential.patterns import COLUMNS, NAMES, Case
from udfs.patterns.event import Event, Match
from udfs.patterns.matcher import Matcher
from udfs.patterns.program import Program

ROOT = Path(__file__).parents[2]


class Row(NamedTuple):
    """One event of the stream. seq: its number in it, from 1."""

    asset: int
    seq: int
    time_ms: int
    name: str


# asset, then first seq, last seq and count of each step of the pattern
Told: TypeAlias = tuple[int, ...]


def make_rows(draw: random.Random, count: int, assets: int = 4) -> list[Row]:
    """Events in bursts: names like to repeat, and times like to be equal."""
    rows, time_ms, name = [], 1_700_000_000_000, "a"
    for seq in range(1, count + 1):
        time_ms += draw.choice([0, 0, 250, 250, 500, 1000])
        name = name if draw.random() < 0.3 else draw.choice(sorted(NAMES))
        rows.append(Row(draw.randrange(assets), seq, time_ms, name))
    return rows


def run_flink(folder: Path, rows: Sequence[Row], cases: Sequence[Case]) -> list[list[Told]]:
    """What Flink finds, for each case.

    Raises: AssertionError: with Flink's words, when it fails.
    """
    with (folder / "events.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "queries.json").write_text(json.dumps([case.query for case in cases]))
    command = [sys.executable, "-m", "tests.differential.flink_job", str(folder)]
    home = str(java.pick(java.homes()))
    # a run of seconds: the quick compiler and the small collector halve its work
    quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    environment = os.environ | {"JAVA_HOME": home, "PYTHONPATH": str(ROOT), "JVM_ARGS": quick}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=3000
    )
    assert done.returncode == 0, done.stderr[-6000:]
    found: list[list[Told]] = [[] for _ in cases]
    for file in sorted((folder / "found").iterdir()):
        for number, *told in csv.reader(file.open()):
            found[int(number)].append(tuple(int(value or 0) for value in told))
    return [sorted(told) for told in found]


def run_ours(rows: Iterable[Row], case: Case, program: Program | None = None) -> list[Told]:
    """What the matcher finds; with another program than the case's, if one is given."""
    matcher = Matcher(program or case.program)
    found: list[Match] = []
    for row in rows:
        event = Event(row.name, row.time_ms, row.time_ms, 0.0, 0.0, row.seq)
        found += matcher.event(row.asset, event)
    return sorted(_told(match, case) for match in found + matcher.advance(1 << 62))


def _told(match: Match, case: Case) -> Told:
    told = [match.asset]
    for label in case.labels:
        taken = [event.slot for name, event in match.events if name == label]
        told += [taken[0], taken[-1], len(taken)] if taken else [0, 0, 0]
    return tuple(told + [0] * (1 + len(COLUMNS) - len(told)))


def spans(found: Iterable[Told]) -> list[tuple[int, int, int]]:
    """Asset, first and last seq of each match."""
    made = []
    for asset, *steps in found:
        taken = [seq for place, seq in enumerate(steps) if place % 3 < 2 and seq]
        made.append((asset, min(taken), max(taken)))
    return sorted(made)
