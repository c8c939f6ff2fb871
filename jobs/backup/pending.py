"""What Flink wrote for a savepoint and had not committed yet: named in it, and in no snapshot.

A savepoint commits nothing. Its state holds the names of the manifests that wait for the next
checkpoint, as absolute paths. They are finished by the restore, in Flink's own words: the restored
job finds its checkpoint committed, and passes over it without opening the old paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.table import Table

from jobs.backup.manifest import PIECE
from jobs.lake.maintain.listing import key_of

JOB, OPERATOR, CHECKPOINT = "flink.job-id", "flink.operator-id", "flink.max-committed-checkpoint-id"
_NAME = rb"([0-9a-f]{32})-([\w-]+?)-\d{5}-\d+-(\d+)-\d{5}[\w-]*\.avro"
_LONGEST = 4096


@dataclass(frozen=True, order=True)
class Waiting:
    """A manifest that a savepoint waits to commit. name: in the table's folder `metadata`."""

    job: str
    operator: str
    checkpoint: int
    name: str


def waiting(table: Table, savepoint: Path) -> list[Waiting]:
    """The manifests of a table that a savepoint names and no snapshot has, in order."""
    # Java writes file:/ where the table has file:///, and s3a: for s3:
    folder = key_of(table.location()).removeprefix("s3:").rstrip("/")
    place = re.escape(f"{folder}/metadata/".encode())
    pattern = re.compile(place + b"(" + _NAME + b")")
    found = {
        Waiting(job.decode(), operator.decode(), int(checkpoint), name.decode())
        for piece in _pieces(savepoint)
        for name, job, operator, checkpoint in pattern.findall(piece)
    }
    return sorted(w for w in found if w.checkpoint > committed(table, w.job, w.operator))


def committed(table: Table, job: str, operator: str | None = None) -> int:
    """The last checkpoint of a job that the table has; -1: none."""
    summaries = [s.summary for s in table.metadata.snapshots if s.summary is not None]
    return max(
        (
            int(summary[CHECKPOINT] or -1)
            for summary in summaries
            if summary[JOB] == job and operator in (None, summary[OPERATOR])
        ),
        default=-1,
    )


def by_commit(items: Iterable[Waiting]) -> dict[tuple[str, str], list[Waiting]]:
    """The manifests that one commit is for, by (job, operator)."""
    found: dict[tuple[str, str], list[Waiting]] = {}
    for item in items:
        found.setdefault((item.job, item.operator), []).append(item)
    return found


def _pieces(folder: Path) -> Iterator[bytes]:
    """All files, in pieces that overlap by the longest name."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            before = b""
            with path.open("rb") as source:
                while piece := source.read(PIECE):
                    yield before + piece
                    before = piece[-_LONGEST:]
