"""A batch is sent when Kafka has the version of the catalogue that explains it, and not before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import structlog

from edge.uplink.backoff import BackOff
from edge.uplink.counts import Counts
from edge.uplink.parcels import Packer, Parcel
from edge.uplink.transport import Answer, Delivery, Fault
from edge.uplink.view import RegistryView

log = structlog.get_logger()

_NAME = "catalogue"


class Catalogues:
    """Which versions Kafka has, as far as this process knows; it publishes what is missing."""

    def __init__(
        self,
        registry: RegistryView,
        packer: Packer,
        post: Callable[[Parcel, Answer], bool],
        back_off: BackOff,
        counts: Counts,
    ) -> None:
        self._registry, self._packer, self._post = registry, packer, post
        self._back_off, self._counts = back_off, counts
        self._published: set[int] = set()
        self._publishing = False

    def known(self, version: int, now_ms: int) -> bool:
        """Whether batches of this version may go; if not, the catalogue is on its way."""
        if version in self._published:
            return True
        if self._publishing or now_ms < self._back_off.until(_NAME):
            return False
        try:
            parcel = self._packer.catalogue(self._registry.version(version))
        except IndexError as error:
            # the cloud may have it from before this gateway lost it; if not, it keeps the batch
            self._counts.refused["unknown_catalogue"] += 1
            log.error("catalogue_unknown", version=version, error=str(error))
            self._published.add(version)
            return True
        self._publishing = self._post(parcel, partial(self._answered, version))
        return False

    def _answered(self, version: int, delivery: Delivery, now_ms: int) -> None:
        self._publishing = False
        if delivery.fault is None:
            self._back_off.taken(_NAME)
            self._published.add(version)
        elif delivery.fault is not Fault.UNANSWERED:
            self._counts.refused[str(delivery.fault)] += 1
            self._back_off.refused(_NAME, delivery, now_ms)
