"""The cloud's rules over the gateway's own batches, on site: alerts that need no network.

    prescreen = Prescreen(load_rules(), "plant-07", "gw-1")
    events = prescreen.on_batch(batch, catalogue, now_ms)     # in the order of their numbers
    prescreen.restore(prescreen.snapshot(), registry)
    prescreen.adopt(rules, 7)                                 # from the next batch on

The ids are those that the cloud gives for the same readings, so whoever has one has both. What a
restart runs through again comes out again under the same ids.

Left out are rules about the silence of a whole gateway (`no_data` of `gateway`): a gateway cannot
tell of itself that it is silent. They are judged by a timer, in the cloud; there is none here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from edge.alarms import Firing
from udfs.alerts import AlertEvent
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.rules.model import Rule
from udfs.state import BadState, pack, unpack
from udfs.watch.watch import Watch

# version 1 had no revision: the rules were those of a folder
_STATE, _VERSION = "edge_prescreen", 2
# Older than this and older than what was judged: from a buffer. (The uplink draws the line there.)
_NEWS_MS = 10_000


class Versions(Protocol):
    """Where catalogues are looked up; the registry is one."""

    def version(self, number: int) -> Catalogue: ...


class Prescreen:
    """All rules over one gateway.

    revision: of the rules' rulebook, 0: they are those of a folder. firing: what fires now; part of
    the state, so a restart does not forget it. passed_over: late ticks that were not judged here.
    """

    def __init__(
        self, rules: Sequence[Rule], facility: str, gateway: str, revision: int = 0
    ) -> None:
        self._rules, self.revision = rules, revision
        self._owner = (facility, gateway)
        self._reset()
        self.passed_over = 0

    def _reset(self) -> None:
        self._watch: Watch | None = None
        self._catalogue: Catalogue | None = None  # that of the watch
        self._newest_ms = 0  # event time of the newest batch that was judged
        self.firing = Firing()

    def on_batch(self, batch: Batch, catalogue: Catalogue, now_ms: int) -> list[AlertEvent]:
        """Judge a batch; one whose number was there already changes nothing.

        Args: batch: as it was made, in lane live. catalogue: the one that it names. now_ms: wall
            clock, UTC epoch ms; it decides nothing but whether old times are news.
        Returns: alerts by rule, then sensor, then time.
        """
        watch = self._watch_for(catalogue)
        if self._is_late(batch.time_ms, now_ms):
            self.passed_over += 1
            batch = self._number_only(batch)
        self._newest_ms = batch.time_ms
        events = watch.on_batch(batch, now_ms)
        for event in events:
            self.firing.take(event)
        return events

    def adopt(self, rules: Sequence[Rule], revision: int) -> None:
        """Go on with other rules: the next batch is the first that they judge.

        State of what did not change goes on; the next batch resolves what is gone. If it raises, it
        changed nothing.
        """
        if self._watch is not None and self._catalogue is not None:
            self._watch = Watch.restore(rules, self._catalogue, self._watch.snapshot())
        self._rules, self.revision = rules, revision

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        fields = {
            "facility": self._owner[0],
            "gateway": self._owner[1],
            "revision": self.revision,
            "version": self._catalogue.version if self._catalogue else 0,
            "newest_ms": self._newest_ms,
            "watch": self._watch.snapshot() if self._watch else None,
            "firing": json.dumps(self.firing.to_plain()),
        }
        return pack(_STATE, _VERSION, fields)

    def restore(
        self,
        data: bytes,
        catalogues: Versions,
        rules_of: Callable[[int], Sequence[Rule] | None] = lambda revision: None,
    ) -> None:
        """Go on from a snapshot.

        Args: rules_of: the rules of a revision. With those of the snapshot's, what was judged since
            gives the same once more. Where they are gone, the rules of now go on: the next batch
            resolves what they have no more.
        Raises: BadState: other bytes, another gateway's, or no such catalogue; it is empty then.
        """
        self._reset()
        version, fields = unpack(data, _STATE)
        if version > _VERSION:
            raise BadState(f"state version {version}; this gateway knows up to {_VERSION}")
        owner = (fields["facility"], fields["gateway"])
        if owner != self._owner:
            raise BadState(f"state of {'/'.join(owner)}, not of {'/'.join(self._owner)}")
        revision = fields.get("revision", 0)
        then = rules_of(revision)
        rules = self._rules if then is None else then
        revision = self.revision if then is None else revision
        if fields["watch"] is None:
            self._rules, self.revision = rules, revision
            return
        try:
            catalogue = catalogues.version(fields["version"])
        except IndexError:
            raise BadState(f"there is no catalogue {fields['version']} any more") from None
        firing = Firing.from_plain(json.loads(fields["firing"]))
        self._watch = Watch.restore(rules, catalogue, fields["watch"])
        self._catalogue = catalogue
        self._rules, self.revision = rules, revision
        self._newest_ms = fields["newest_ms"]
        self.firing = firing

    def _watch_for(self, catalogue: Catalogue) -> Watch:
        """The watch, grown to the catalogue when that is a newer one."""
        if self._watch is None or self._catalogue is None:
            self._watch, self._catalogue = Watch(self._rules, catalogue), catalogue
        elif catalogue.version > self._catalogue.version:
            self._watch = Watch.restore(self._rules, catalogue, self._watch.snapshot())
            self._catalogue = catalogue
        return self._watch

    def _is_late(self, time_ms: int, now_ms: int) -> bool:
        """Whether the batch tells of the past: a straggler, or what a device had buffered.

        A time that went far back and is the clock's time all the same means that the clock was set
        back; that is news, and the conditions take it as a gap.
        """
        behind_ms = self._newest_ms - time_ms
        return behind_ms > 0 and (behind_ms <= _NEWS_MS or now_ms - time_ms > _NEWS_MS)

    def _number_only(self, batch: Batch) -> Batch:
        """The batch without readings, so that its number is no hole.

        Judged in line, old readings would end what is pending and clear what fires, and the next
        reading would raise it anew under another id. The cloud judges them, in lane backlog.
        """
        return replace(
            batch,
            time_ms=self._newest_ms,
            value=np.empty(0),
            sensor=np.empty(0, np.uint32),
            offset_ms=None,
            quality=None,
        )
