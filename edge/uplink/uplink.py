"""From the spool to Kafka: what is on disk is sent by lane, and forgotten when Kafka has it.

uplink = Uplink(settings, "plant-07", "gw-1", spool, registry, transport, speaker)
uplink.step(now_ms)                  # one round, without waiting
uplink.run(stop)                     # rounds until `stop` is set, in a thread of its own
uplink.wake()                        # after a commit, from any thread
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import Event

import structlog

from edge.settings import UplinkSettings
from edge.spool.record import Log, Stored
from edge.uplink.backoff import BackOff
from edge.uplink.catalogues import Catalogues
from edge.uplink.counts import Counts
from edge.uplink.lanes import ORDER, Lane, Lanes
from edge.uplink.pacing import Pacing
from edge.uplink.parcels import LOGS, Packer, Parcel, size_of
from edge.uplink.transport import Answer, Delivery, Fault, Transport
from edge.uplink.view import RegistryView, SpeakerView, SpoolView
from edge.uplink.words import Outbox, Words
from udfs.shares import BATCH_COST

log = structlog.get_logger()

_READ_BYTES = 256 * 1024
_SAVE_MS = 1_000
_PARK_MS = 60_000  # until a record is tried again that only a person's change can help
_BUSY_S, _IDLE_S = 0.003, 0.05
_CLOSE_S = 3.0


class Uplink:
    """The uplink of one gateway. All but `wake` and reading attributes is for one thread."""

    def __init__(
        self,
        settings: UplinkSettings,
        facility: str,
        gateway: str,
        spool: SpoolView,
        registry: RegistryView,
        transport: Transport,
        speaker: SpeakerView,
        tick_ms: int = 1000,
        token: Callable[[int], tuple[float, int] | None] | None = None,
    ) -> None:
        """Args: tick_ms: length of a batch. token: gives the cloud's newest token, as
        `AdmissionReader.poll` does; needed where `settings.admission` is required.
        """
        self._spool, self._transport = spool, transport
        self._tick_ms, self._token = tick_ms, token
        self.counts = Counts()
        live_ms = round(settings.live_within_s * 1000)
        window = max(64, 2 * live_ms // tick_ms)
        self._lanes = Lanes(live_ms, settings.in_flight_bytes, window)
        self._pacing = Pacing(settings.backlog_factor, settings.admission == "required")
        self._packer = Packer(facility, gateway)
        self._words = Words(spool, speaker, round(settings.ledger_s * 1000))
        self._back_off = BackOff()
        self._open: dict[int, Answer] = {}  # what is on its way, by token
        self._tokens = 0
        tools = (self._packer, self._post, self._back_off, self.counts)
        self._catalogues = Catalogues(registry, *tools)
        self._outbox = Outbox(self._words, *tools)
        self._gates: dict[Lane, Callable[[int], bool]] = {}  # what a lane's next record waits for
        self._unsaved = False
        self._saved_ms = 0
        self._woken = Event()
        self.turned_ms = 0
        """When the last round was done."""
        self.pace = 0.0
        """Readings a second that the backlog may send now."""

    @property
    def connected(self) -> bool:
        """Whether Kafka answers."""
        return self._transport.connected

    @property
    def in_flight(self) -> int:
        """Records on their way."""
        return self._lanes.in_flight

    @property
    def in_flight_bytes(self) -> int:
        """Their bytes, before compression."""
        return self._lanes.in_flight_bytes

    def backlog(self) -> int:
        """Batches that wait in the backlog."""
        raw = self._spool
        return self._lanes.waiting(raw.pending(Log.RAW), raw.committed(Log.RAW))

    def live_wait_ms(self, now_ms: int) -> int:
        """How long the oldest live record on its way is waiting for its answer."""
        return self._lanes.live_wait_ms(now_ms)

    def wake(self) -> None:
        """Something was committed."""
        self._woken.set()

    def run(self, stop: Event) -> None:
        """Rounds until `stop` is set; then what is on its way gets a few seconds."""
        try:
            while not stop.is_set():
                self.step(_wall_ms())
                self._woken.wait(_BUSY_S if self._open and self.connected else _IDLE_S)
                self._woken.clear()
        finally:
            self.close()

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Take the last answers and save how far Kafka has everything."""
        self._take(self._transport.close(timeout_s), _wall_ms())
        self._spool.save_pointer()

    def step(self, now_ms: int) -> None:
        """One round: answers, pace, lanes in their order, ledger, pointer. It never waits."""
        self._take(self._transport.poll(now_ms), now_ms)
        self._look(now_ms)
        for lane in ORDER:
            self._fill(lane, now_ms)
        self._outbox.step(now_ms, self.backlog)
        self._save(now_ms)
        self.turned_ms = now_ms

    # -- what goes out

    def _look(self, now_ms: int) -> None:
        made = self._spool.totals(self._spool.epoch).readings
        self._pacing.produced(made + BATCH_COST * self._spool.next_sequence, now_ms)
        self._pacing.live_waiting(self.live_wait_ms(now_ms), now_ms)
        token = self._token(now_ms) if self._token else None
        if token is not None:
            self._pacing.granted(*token)
        self.pace = self._pacing.pace(now_ms)

    def _fill(self, lane: Lane, now_ms: int) -> None:
        """Send what the lane may send now."""
        if self._held_back(lane, now_ms):
            return
        source = LOGS[lane]
        while room := self._lanes.room(lane):
            if lane is Lane.BACKLOG and not self._pacing.may_send(now_ms):
                return
            pending, committed = self._spool.pending(source), self._spool.committed(source)
            run = self._lanes.run(lane, pending, committed, now_ms)
            if run is None:
                return
            records = self._spool.read(source, *run, min(room, _READ_BYTES))
            if not records:  # it was dropped or declared lost meanwhile
                return
            for stored in records:
                if not self._send(lane, stored, now_ms):
                    return

    def _held_back(self, lane: Lane, now_ms: int) -> bool:
        """Whether the lane waits for something before its next record is even read."""
        # live data find out when the network is back, and are the first to go
        waits = lane in (Lane.ROLLUPS, Lane.BACKLOG) and self._lanes.live_in_flight
        if waits and not self.connected:
            return True
        gate = self._gates.get(lane)
        if gate is not None and gate(now_ms):
            del self._gates[lane]
        return lane in self._gates

    def _send(self, lane: Lane, stored: Stored, now_ms: int) -> bool:
        """Send one record. Returns: whether the next one may follow."""
        if lane is Lane.BACKLOG and not self._pacing.may_send(now_ms):
            return False
        if lane is Lane.LIVE and not self._lanes.is_live(stored.time_ms + self._tick_ms, now_ms):
            self._lanes.passed(stored.index)
            self._words.seen(replace(stored, body=b""))
            return True
        size = size_of(stored)
        if not self._lanes.fits(lane, size):
            self._gates[lane] = lambda now_ms: self._lanes.fits(lane, size)
            return False
        try:
            parcel = self._packer.record(lane, stored, now_ms)
        except ValueError as error:
            self._set_aside(lane, stored, str(error), now_ms)
            return True
        if parcel.catalogue and not self._catalogues.known(parcel.catalogue, now_ms):
            self._gates[lane] = partial(self._catalogues.known, parcel.catalogue)
            return False
        noted = replace(stored, body=b"")
        if not self._post(parcel, partial(self._answered, lane, noted, now_ms)):
            return False
        self._note_sent(lane, noted, len(parcel.value), now_ms)
        return True

    def _note_sent(self, lane: Lane, stored: Stored, size: int, now_ms: int) -> None:
        self._lanes.sent(lane, stored.index, size, now_ms)
        self.counts.sent[lane] += 1
        self.counts.bytes_sent += size
        if lane is Lane.BACKLOG:
            self._pacing.sent(stored.readings + BATCH_COST)
        if LOGS[lane] is Log.RAW:
            self._words.seen(stored)

    def _set_aside(self, lane: Lane, stored: Stored, why: str, now_ms: int) -> None:
        """A body that this version cannot read holds nobody up and stays on disk."""
        self.counts.refused["unreadable"] += 1
        log.error("record_unreadable", log=LOGS[lane].value, index=stored.index, error=why)
        self._lanes.sent(lane, stored.index, 0, now_ms)
        self._lanes.answered(lane, stored.index, False, retry_ms=now_ms + _PARK_MS)

    def _post(self, parcel: Parcel, answer: Answer) -> bool:
        self._tokens += 1
        if not self._transport.produce(*parcel[:2], parcel.value, parcel.headers, self._tokens):
            return False
        self._open[self._tokens] = answer
        return True

    # -- what comes back

    def _take(self, deliveries: list[Delivery], now_ms: int) -> None:
        for delivery in deliveries:
            self._open.pop(delivery.token)(delivery, now_ms)

    def _answered(
        self, lane: Lane, stored: Stored, sent_ms: int, delivery: Delivery, now_ms: int
    ) -> None:
        if lane is Lane.BACKLOG:
            self._pacing.answered(stored.readings + BATCH_COST)
        if delivery.fault is not None:
            self._failed(lane, stored.index, delivery, now_ms)
            return
        self._lanes.answered(lane, stored.index, True)
        self._back_off.taken(lane)
        self._spool.acknowledge(LOGS[lane], stored.index, stored.index)
        self._unsaved = True
        self.counts.acknowledged[lane] += 1
        if LOGS[lane] is Log.RAW:
            self._words.acknowledged(stored)
        if lane is Lane.LIVE:
            latency_ms = max(0, now_ms - sent_ms)
            self.counts.live_ack.note(latency_ms / 1000)
            self._pacing.live_answered(latency_ms, now_ms)

    def _failed(self, lane: Lane, index: int, delivery: Delivery, now_ms: int) -> None:
        """Nothing is dropped: what Kafka does not take is tried again, at a pace that fits why."""
        if delivery.fault is Fault.UNANSWERED:
            self.counts.unanswered[lane] += 1
            self._lanes.answered(lane, index, False)
        elif delivery.fault is Fault.TOO_LARGE:
            # every record fits the topics as they are declared, so the topic has another limit
            self._refused(lane, delivery, now_ms)
            self._lanes.answered(lane, index, False, retry_ms=now_ms + _PARK_MS)
        else:
            self._refused(lane, delivery, now_ms)
            self._lanes.answered(lane, index, False)
            self._lanes.shut(lane, self._back_off.until(lane))

    def _refused(self, name: str, delivery: Delivery, now_ms: int) -> None:
        self.counts.refused[str(delivery.fault)] += 1
        self._back_off.refused(name, delivery, now_ms)

    def _save(self, now_ms: int) -> None:
        if self._unsaved and not 0 <= now_ms - self._saved_ms < _SAVE_MS:
            self._spool.save_pointer()
            self._saved_ms, self._unsaved = now_ms, False


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
