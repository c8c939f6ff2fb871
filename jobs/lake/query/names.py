"""What a slot of a chunk is called: chunks say slots, tables and catalogues say what these are.

Table `readings` is looked at first, since it is at hand; then topic `catalogue`, if a broker is
known. A slot means the same for ever, so what was found once is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import pyarrow as pa
from kafka.errors import KafkaError
from pyiceberg.table import Table

from jobs.common.catalogues import TopicCatalogues
from jobs.lake.files import data_files
from jobs.lake.query.rowgroups import decoded, open_file
from jobs.lake.query.scope import QueryError, Scope
from jobs.lake.query.slices import span_of
from udfs.archive.chunk import Chunk
from udfs.archive.schemas import HOUR_MS, TEXTS
from udfs.catalogue import Catalogue

Find = Callable[[str, str, int], Catalogue | None]
Texts = tuple[str, ...]  # sensor, asset, kind, unit

_UNKNOWN: Texts = ("", "", "", "")

# newest files of a facility in which a slot is looked for
_LOOKED_AT = 4


def no_catalogue(facility: str, gateway: str, version: int) -> Catalogue | None:
    """For a reader without Kafka: nobody else knows."""
    return None


class Asked:
    """Topic `catalogue`, opened when it is first needed; for one thread at a time."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._topic: TopicCatalogues | None = None

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        """The catalogue, or None when nobody published it. Raises: QueryError: no answer."""
        try:
            if self._topic is None:
                self._topic = TopicCatalogues(self._bootstrap)
            return self._topic.find(facility, gateway, version)
        except KafkaError as error:
            raise QueryError(
                f"{self._bootstrap}: Kafka does not answer ({type(error).__name__}), and what the "
                f"sensors of {facility}/{gateway} are called is not archived yet"
            ) from None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._topic is not None:
            self._topic.close()


@dataclass
class Names:
    """Catalogues as far as readers need them.

    readings: loads table `readings`. find: catalogue of (facility, gateway, version), else None.
    """

    readings: Callable[[], Table]
    find: Find = no_catalogue
    _known: dict[tuple[str, str], dict[int, Texts]] = field(default_factory=dict)
    _looked: set[str] = field(default_factory=set)
    _made: dict[tuple[str, str], Catalogue] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def learn(self, facility: str) -> None:
        """Take what the newest files of table `readings` say of a facility's slots, once."""
        if facility in self._looked:
            return
        self._looked.add(facility)
        readings = self.readings()
        files = data_files(readings, Scope(facility).expression("hour", HOUR_MS))
        files.sort(key=lambda file: span_of(readings, file, "hour").high_ms, reverse=True)
        for file in files[:_LOOKED_AT]:
            with open_file(readings.io, file.file_path) as source:
                columns = ["gateway", "slot", *TEXTS]
                rows = decoded(source.read(columns=columns)).group_by(columns).aggregate([])
            self._take(facility, rows)

    def _take(self, facility: str, rows: pa.Table) -> None:
        columns = [rows[name].to_pylist() for name in ("gateway", "slot", *TEXTS)]
        for gateway, slot, *texts in zip(*columns, strict=True):
            self._known.setdefault((facility, gateway), {}).setdefault(slot, tuple(texts))

    def catalogue(self, chunk: Chunk) -> Catalogue:
        """A catalogue that knows the chunk's slots. Raises: QueryError: nobody does."""
        with self._lock:
            key = chunk.facility, chunk.gateway
            known = self._known.setdefault(key, {})
            if any(slot not in known for slot in np.unique(chunk.sensor).tolist()):
                self._ask(chunk, known)
            made = self._made.get(key)
            if made is None or len(made) <= max(known, default=-1):
                made = self._made[key] = _catalogue(*key, known)
            return made

    def known(self, facility: str, column: str) -> set[str]:
        """What the sensors of a facility have there, as far as it was learned."""
        of = [(key[1], texts) for key, slots in self._known.items() if key[0] == facility
              for texts in slots.values()]  # fmt: skip
        if column == "gateway":
            return {gateway for gateway, _ in of}
        return {texts[TEXTS.index(column)] for _, texts in of} if column in TEXTS else set()

    def _ask(self, chunk: Chunk, known: dict[int, Texts]) -> None:
        version = int(chunk.batches.catalogue.max())
        found = self.find(chunk.facility, chunk.gateway, version)
        if found is None or int(chunk.sensor[-1]) >= len(found):
            raise QueryError(
                f"{chunk.facility}/{chunk.gateway} has readings that are not compacted yet, and "
                f"its catalogue {version} is not known here: name the brokers (--bootstrap, or "
                "Lake.open(bootstrap=...)), or ask again once the hour is compacted"
            )
        known.update(enumerate(zip(found.name, found.asset, found.kind, found.unit, strict=True)))


def _catalogue(facility: str, gateway: str, known: Mapping[int, Texts]) -> Catalogue:
    """A catalogue with the slots that are known, and empty texts for the others."""
    slots = range(max(known, default=-1) + 1)
    name, asset, kind, unit = zip(*(known.get(slot, _UNKNOWN) for slot in slots), strict=True)
    n = len(slots)
    ends = np.full(n, -np.inf), np.full(n, np.inf), np.zeros(n, np.int32)
    return Catalogue(facility, gateway, 0, name, unit, kind, asset, *ends)
