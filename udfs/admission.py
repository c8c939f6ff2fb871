"""The gate of every job: a record becomes an admitted batch, a gateway's word, or a refusal.

The gate is the only place that looks things up; what it lets through is journaled, so a step that
is restored from its journal never depends on what the catalogue says by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from udfs.batch import Batch, Reason, Refused, check, decode
from udfs.catalogue import Catalogue
from udfs.ledger import Word, decode_word
from udfs.records import BACKLOG, LEDGER, Record


class Catalogues(Protocol):
    """Where the gate looks up what a gateway's slots are."""

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        """The catalogue, or None when nobody published it."""

    def knows(self, facility: str, gateway: str) -> bool:
        """Whether any catalogue of the gateway was published."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was not let through, and why."""

    record: Record
    reason: Reason
    detail: str


class Gate:
    """Let records of `readings.`, `backlog.` and `ledger.` topics through, or say why not."""

    def __init__(self, catalogues: Catalogues) -> None:
        self.catalogues = catalogues

    def admit(self, record: Record, now_ms: int) -> Batch | Word | Refusal:
        """Hold one record against its contract; `now_ms` is the wall clock."""
        try:
            if record.family == LEDGER:
                return self._word(record)
            return self._batch(record, now_ms)
        except Refused as refused:
            return Refusal(record, refused.reason, str(refused))

    def _word(self, record: Record) -> Word:
        word = decode_word(record.value)
        if f"{word.facility}/{word.gateway}" != record.key:
            raise Refused(
                Reason.BAD_LEDGER,
                f"the line is of {word.facility}/{word.gateway}, its record of {record.key}",
            )
        return word

    def _batch(self, record: Record, now_ms: int) -> Batch:
        batch = decode(record.value)
        facility, gateway = batch.facility, batch.gateway
        if f"{record.facility}/{gateway}" != record.key:
            raise Refused(
                Reason.UNKNOWN_GATEWAY, f"the batch is of {gateway}, its record of {record.key}"
            )
        if facility != record.facility:
            raise Refused(
                Reason.WRONG_FACILITY, f"the batch names {facility}, its topic {record.facility}"
            )
        if (batch.lane == BACKLOG) != (record.family == BACKLOG):
            raise Refused(Reason.BAD_HEADER, f'lane "{batch.lane}" on topic {record.topic}')
        catalogue = self.catalogues.find(facility, gateway, batch.catalogue)
        if catalogue is None:
            raise self._unknown(facility, gateway, batch.catalogue)
        check(batch, record.facility, len(catalogue), now_ms)
        return batch

    def _unknown(self, facility: str, gateway: str, version: int) -> Refused:
        if self.catalogues.knows(facility, gateway):
            return Refused(
                Reason.UNKNOWN_CATALOGUE, f"no catalogue {version} of {facility}/{gateway}"
            )
        return Refused(Reason.UNKNOWN_GATEWAY, f"no catalogue of {facility}/{gateway}")
