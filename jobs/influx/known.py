"""Catalogues for the lanes of a process: one reader of topic `catalogue` for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock

import structlog
from kafka.errors import KafkaError

from jobs.common.catalogues import TopicCatalogues
from jobs.common.errors import HardiotError
from udfs.catalogue import Catalogue

PATIENCE_S = 30.0
"""A rollup's catalogue was there before its readings: what is not found now is not read yet."""

_LOOK_S = 2.1
_MOST_MISSING = 10_000
log = structlog.get_logger()


class SharedCatalogues:
    """The topic, and what was looked for in vain, so that it is waited for only once."""

    def __init__(self, bootstrap: str, properties: Mapping[str, str]) -> None:
        try:
            self._topic = TopicCatalogues(bootstrap, properties)
        except KafkaError as error:
            why = type(error).__name__
            raise HardiotError(f"{bootstrap}: Kafka does not answer ({why})") from None
        self._lock = Lock()
        self._missing: set[tuple[str, str, int]] = set()

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        """The catalogue; None when it did not come within PATIENCE_S."""
        wanted = (facility, gateway, version)
        end_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                found = self._look(wanted)
            except KafkaError as error:  # then nobody knows what is there
                log.warning("catalogue_not_read", error=str(error))
                end_s = time.monotonic() + PATIENCE_S
            else:
                if found is not None:
                    return found
                if wanted in self._missing or time.monotonic() > end_s:
                    self._note(wanted)
                    return None
            time.sleep(_LOOK_S)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._topic.close()

    def _look(self, wanted: tuple[str, str, int]) -> Catalogue | None:
        with self._lock:
            return self._topic.find(*wanted)

    def _note(self, wanted: tuple[str, str, int]) -> None:
        if len(self._missing) >= _MOST_MISSING:
            self._missing.clear()
        self._missing.add(wanted)
