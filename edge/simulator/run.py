"""Run a simulation: every batch at its time, whatever the receiver does.

    summary = simulate(SimulatorSettings(facilities=3, seconds=60), report=print)

The schedule is fixed in advance (open loop). A sender that cannot keep up sends the rest as fast as
it can, in order, and says how far behind it is; it never skips and never slows the schedule down.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from threading import Event

from edge.simulator.build import FleetBuilder
from edge.simulator.links import Send
from edge.simulator.outlet import NAP_S, KafkaOutlet, Outlet
from edge.simulator.progress import GatewaySummary, Progress, Summary, Tally
from edge.simulator.publisher import MqttOutlet
from edge.simulator.settings import SimulatorSettings
from edge.simulator.uplink import Discard, KafkaUplink, Uplink
from udfs.batch import Lane
from udfs.ledger import Word

REPORT_MS = 1000
PATIENCE_S = 30  # for acknowledgements, of the announcement before and of the rest after
_RETRY_S = 0.005  # between two tries to hand over to a full queue


def wall_ms() -> int:
    """UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000


def simulate(
    settings: SimulatorSettings,
    report: Callable[[Progress], None],
    stop: Event | None = None,
    uplink: Uplink | None = None,
    now_ms: Callable[[], int] = wall_ms,
) -> Summary:
    """Run to the end of the settings, or until `stop` is set. Topics must exist.

    Args: report: called about once a second. uplink: in place of the one to the settings' Kafka.
        now_ms: UTC epoch milliseconds; an uplink given with it has to make that time pass when it
        serves.
    Raises: EdgeError: settings that do not fit together, nobody answers, or a record was refused.
    """
    fleet = FleetBuilder(settings)
    outlet = _outlet(settings, fleet, uplink)
    return _Simulation(settings, fleet, outlet, stop or Event(), now_ms, report).run()


def _outlet(settings: SimulatorSettings, fleet: FleetBuilder, uplink: Uplink | None) -> Outlet:
    duplicates = settings.links.duplicates
    if settings.mqtt and not uplink:
        return MqttOutlet(settings.mqtt, fleet.catalogues, settings.queue_mb, duplicates)
    if uplink is None:
        discard = settings.produce_only
        uplink = Discard() if discard else KafkaUplink(settings.bootstrap, settings.queue_mb)
    return KafkaOutlet(uplink, fleet.catalogues, settings.bootstrap, duplicates)


class _Simulation:
    def __init__(
        self,
        settings: SimulatorSettings,
        fleet: FleetBuilder,
        outlet: Outlet,
        stop: Event,
        now_ms: Callable[[], int],
        report: Callable[[Progress], None],
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._outlet = outlet
        self._stop = stop
        self._now_ms = now_ms
        self._report_to = report
        self._links = [fleet.link(index) for index in range(len(fleet.catalogues))]
        self._tallies = [Tally() for _ in fleet.catalogues]
        self._due_ms = self._behind_ms = self._most_behind_ms = 0.0

    def run(self) -> Summary:
        self._outlet.open(self._stop, PATIENCE_S)
        self._begin()
        for send in heapq.merge(*(link.sends(n) for n, link in enumerate(self._links))):
            if not self._wait(send) or not self._send(send):
                break
            self._report_if_due()
            self._tell_ledger_if_due()
        self._report()
        self._tell_ledger(final=True)
        return self._summary(self._outlet.close(PATIENCE_S))

    def _begin(self) -> None:
        """Fix the schedule: event time and the clock are both known from here on."""
        now_ms = self._now_ms()
        self._start_ms = self._settings.first_tick_ms(now_ms)
        live = self._settings.start_ms is None and self._settings.speed <= 1
        self._wall_start_ms = self._start_ms if live else now_ms
        self._gateways = [
            self._fleet.gateway(index, self._start_ms)
            for index in range(len(self._fleet.catalogues))
        ]
        self._began_ms = self._reported_ms = self._told_ms = now_ms
        self._reported_readings = 0

    def _wait(self, send: Send) -> bool:
        """Wait until it is due. Returns: False when told to stop."""
        self._due_ms = self._wall_start_ms + send.due_ms / self._settings.speed
        while not self._stop.is_set():
            left_ms = self._due_ms - self._now_ms()
            if left_ms <= 0 or self._settings.produce_only:
                return True
            self._outlet.serve(min(left_ms / 1000, NAP_S))
        return False

    def _send(self, send: Send) -> bool:
        """Send a batch. Returns: False when told to stop before it was taken."""
        gateway, tally = self._gateways[send.gateway], self._tallies[send.gateway]
        batch = gateway.batch(send.sequence, send.lane, self._now_ms())
        while (sent := self._outlet.send(gateway, batch)) is None:
            if not self._retry():
                return False
        self._note_delay()
        tally.batches += 1
        tally.readings += len(batch)
        tally.messages += sent.messages
        tally.duplicates += sent.duplicates
        tally.backlog += send.lane == Lane.BACKLOG
        tally.sent_through = max(tally.sent_through, send.sequence)
        return True

    def _retry(self) -> bool:
        """Let a full outlet work before the next try. Returns: False when told to stop."""
        if self._stop.is_set():
            return False
        self._note_delay()
        self._report_if_due()
        self._outlet.serve(_RETRY_S)
        return True

    def _note_delay(self) -> None:
        """How far behind the schedule the batch is that was just sent or still cannot be."""
        self._behind_ms = max(0.0, self._now_ms() - self._due_ms)
        self._most_behind_ms = max(self._most_behind_ms, self._behind_ms)

    def _report_if_due(self) -> None:
        if self._now_ms() - self._reported_ms >= REPORT_MS:
            self._report()

    def _tell_ledger_if_due(self) -> None:
        now_ms = self._now_ms()
        if now_ms - self._told_ms >= self._settings.ledger_s * 1000:
            self._tell_ledger()
            self._told_ms = now_ms

    def _tell_ledger(self, final: bool = False) -> None:
        """Each gateway's word, except of those that an outage keeps silent."""
        now_ms = self._now_ms()
        elapsed_ms = (now_ms - self._wall_start_ms) * self._settings.speed
        for gateway, tally, link in zip(self._gateways, self._tallies, self._links, strict=True):
            if tally.sent_through < 0 or (link.down(elapsed_ms) and not final):
                continue
            through = self._last_sequence(tally) if final else tally.sent_through
            facility, name = gateway.catalogue.facility, gateway.catalogue.gateway
            word = Word(
                facility,
                name,
                gateway.epoch,
                tally.sent_through,
                tally.readings,  # of a batch sent twice they count once
                lost=tuple((first, last) for first, last in link.declared(through)),
                sent_ms=now_ms,
            )
            while not self._outlet.tell(word) and self._retry():
                pass

    def _last_sequence(self, tally: Tally) -> int:
        """How far the gateway came: after a whole run, losses at its very end are known too."""
        ticks = self._settings.ticks
        return tally.sent_through if ticks is None or self._stop.is_set() else ticks - 1

    def _report(self) -> None:
        now_ms, readings = self._now_ms(), sum(t.readings for t in self._tallies)
        since_s = max(now_ms - self._reported_ms, 1) / 1000
        self._report_to(
            Progress(
                seconds=(now_ms - self._began_ms) / 1000,
                batches=sum(t.batches for t in self._tallies),
                readings=readings,
                messages=sum(t.messages for t in self._tallies),
                duplicates=sum(t.duplicates for t in self._tallies),
                backlog=sum(t.backlog for t in self._tallies),
                readings_per_s=(readings - self._reported_readings) / since_s,
                behind_ms=self._behind_ms,
            )
        )
        self._reported_ms, self._reported_readings = now_ms, readings

    def _summary(self, unacknowledged: int) -> Summary:
        return Summary(
            start_ms=self._start_ms,
            seconds=(self._now_ms() - self._began_ms) / 1000,
            batches=sum(t.batches for t in self._tallies),
            readings=sum(t.readings for t in self._tallies),
            messages=sum(t.messages for t in self._tallies),
            duplicates=sum(t.duplicates for t in self._tallies),
            behind_ms=self._most_behind_ms,
            unacknowledged=unacknowledged,
            stopped=self._stop.is_set(),
            gateways=tuple(self._gateway_summary(n) for n in range(len(self._gateways))),
        )

    def _gateway_summary(self, index: int) -> GatewaySummary:
        gateway, tally = self._gateways[index], self._tallies[index]
        return GatewaySummary(
            facility=gateway.catalogue.facility,
            gateway=gateway.catalogue.gateway,
            epoch=gateway.epoch,
            batches=tally.batches,
            readings=tally.readings,
            messages=tally.messages,
            duplicates=tally.duplicates,
            backlog=tally.backlog,
            lost=self._links[index].lost_through(self._last_sequence(tally)),
            sent_through=tally.sent_through,
        )
