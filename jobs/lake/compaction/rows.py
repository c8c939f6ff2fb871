"""The chunks of one facility hour as they lie in files of table `chunks`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

import numpy as np
import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.compaction.plan import FacilityHour
from jobs.lake.compaction.stored import read_file
from jobs.lake.errors import LakeError
from udfs.archive.chunk import Chunk, decode
from udfs.archive.held import MAX_REVISION, Held
from udfs.catalogue import Catalogue

_COLUMNS = ("gateway", "minute", "revision", "readings", "chunk")

Find = Callable[[str, str, int], Catalogue | None]
Minute = tuple[str, int]  # gateway and start, UTC epoch milliseconds


class DamagedFile(LakeError):
    """A file of chunks that is none, or only half of one."""


class Kind(StrEnum):
    """Why a chunk stays where it is: its bytes, or its catalogue is not known (yet)."""

    DAMAGED = "damaged"
    UNNAMED = "unnamed"


@dataclass(frozen=True)
class Problem:
    """A chunk that cannot be compacted, or a file that cannot be read; text: one line."""

    kind: Kind
    text: str


class Names:
    """The catalogues of one gateway by version."""

    def __init__(self, find: Find, facility: str, gateway: str) -> None:
        self._find, self._of = find, (facility, gateway)
        self._known: dict[int, Catalogue] = {}

    def __call__(self, version: int) -> Catalogue:
        """Raises: LookupError: nobody published it."""
        if version not in self._known:
            found = self._find(*self._of, version)
            if found is None:
                raise LookupError(f"catalogue {'/'.join(self._of)}/{version} is not known")
            self._known[version] = found
        return self._known[version]

    def covering(self, version: int, slot: int) -> Catalogue:
        """The first from `version` on that has the slot; slots keep their meaning for ever.

        Raises: LookupError: there is none.
        """
        while len(catalogue := self(version)) <= slot:
            version += 1
        return catalogue

    def check(self, chunk: Chunk) -> None:
        """Raises: LookupError: an unknown catalogue. ValueError: a slot that it has not."""
        versions = chunk.batches.catalogue
        for version in np.unique(versions).tolist():
            inside = chunk.sensor
            if (versions != version).any():
                inside = inside[versions[chunk.batch] == version]
            if len(inside) and inside[-1] >= len(self(version)):
                raise ValueError(f"slot {inside[-1]}; its catalogue has {len(self(version))}")


@dataclass(frozen=True)
class Row:
    """A row of table `chunks`. file: its place among the files of the hour."""

    file: int
    gateway: str
    minute_ms: int
    revision: int
    readings: int
    column: pa.ChunkedArray
    place: int

    @property
    def minute(self) -> Minute:
        return self.gateway, self.minute_ms

    def decode(self, facility: str) -> Chunk:
        """The chunk. Raises: ValueError: its bytes are damaged, or are another chunk's."""
        chunk = decode(self.column[self.place].as_py())
        found = (chunk.facility, chunk.gateway, chunk.minute_ms, chunk.revision)
        if found != (facility, self.gateway, self.minute_ms, self.revision):
            raise ValueError(f"it says that it is {found}")
        if self.revision > MAX_REVISION:
            raise ValueError(f"revision {self.revision}; at most {MAX_REVISION} can be noted")
        return chunk


class ChunkRows:
    """What of an hour's chunks is to be done, and what cannot be."""

    def __init__(self, hour: FacilityHour, rows: Sequence[Row], held: Held) -> None:
        self.hour, self.problems = hour, list[Problem]()
        ordered = sorted(rows, key=lambda r: (*r.minute, r.revision, -r.readings, r.file))
        facility = hour.facility
        new = [r for r in ordered if not held.holds(facility, *r.minute, r.revision)]
        # one that is there twice comes of a job that began anew: the fuller one counts
        same = groupby(new, key=lambda r: (*r.minute, r.revision))
        self.pending = [next(rows) for _, rows in same]
        self._of_minute: dict[Minute, list[Row]] = defaultdict(list)
        for row in new:
            self._of_minute[row.minute].append(row)
        self._blocked: set[Minute] = set()

    @classmethod
    def read(cls, chunks: Table, hour: FacilityHour, held: Held) -> ChunkRows:
        """All chunks of the hour's files. Raises: OSError, DamagedFile."""
        rows: list[Row] = []
        for number, file in enumerate(hour.files):
            try:
                table = read_file(chunks, file, _COLUMNS)
            except pa.ArrowInvalid as error:
                raise DamagedFile(f"{file.file_path}: {error}") from None
            micros = table["minute"].cast(pa.int64()).to_numpy() // 1000
            gateway, revision, readings = (
                table[name].to_pylist() for name in ("gateway", "revision", "readings")
            )
            for at, minute_ms in enumerate(micros.tolist()):
                key = (gateway[at], minute_ms, revision[at], readings[at])
                rows.append(Row(number, *key, table["chunk"], at))
        return cls(hour, rows, held)

    def minutes(self) -> list[Minute]:
        """The gateway minutes that have a chunk to be done."""
        return list(dict.fromkeys(row.minute for row in self.pending))

    def gateways(self) -> list[tuple[str, dict[int, list[Row]]]]:
        """Rows to be done by gateway and minute, in order; the lowest revision first."""
        found: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in self.pending:
            found[row.gateway][row.minute_ms].append(row)
        return list(found.items())

    def decode(self, rows: Sequence[Row], names: Names) -> list[Chunk]:
        """The chunks of one gateway minute; none when one of them cannot be compacted."""
        chunks: list[Chunk] = []
        for row in rows:
            try:
                chunks.append(row.decode(self.hour.facility))
                names.check(chunks[-1])
            except ValueError as error:
                self._block(row, Kind.DAMAGED, error)
            except LookupError as error:
                self._block(row, Kind.UNNAMED, error)
        return [] if rows[0].minute in self._blocked else chunks

    def left(self) -> list[DataFile]:
        """The files that have a chunk that was not done."""
        stay = {row.file for minute in self._blocked for row in self._of_minute[minute]}
        return [self.hour.files[number] for number in sorted(stay)]

    def _block(self, row: Row, kind: Kind, error: Exception) -> None:
        self._blocked.add(row.minute)
        path = self.hour.files[row.file].file_path
        what = f"{self.hour.facility}/{row.gateway}: minute {row.minute_ms} revision {row.revision}"
        self.problems.append(Problem(kind, f"{path}: {what}: {error}"))
