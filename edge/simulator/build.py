"""From settings to gateways, and what they will have sent."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import numpy as np

from edge.block import Block
from edge.errors import EdgeError
from edge.simulator.devices import times_of
from edge.simulator.faults import Fault, place_fault
from edge.simulator.fleet import fleet, place
from edge.simulator.gateway import SimulatedGateway
from edge.simulator.links import Link
from edge.simulator.recordings import PlacedRecording, place_recording, read_recording
from edge.simulator.settings import SimulatorSettings
from edge.simulator.signals import Behaviour, NoisePool, Signal, generator, key_of, mix
from edge.simulator.template import read_template
from edge.simulator.timetable import Timetable
from udfs.batch import Batch
from udfs.catalogue import Catalogue


def expected_batches(settings: SimulatorSettings, facility: str, gateway: str) -> Iterator[Batch]:
    """What a gateway sends in a whole run, once each, in order, lost ones left out.

    All batches come as of the live lane and with sent_ms 0.
    Raises: EdgeError: no start_ms or no end is set, or there is no such gateway.
    """
    if settings.start_ms is None or settings.ticks is None:
        raise EdgeError("expected batches need start_ms, and seconds or batches, to be set")
    made = FleetBuilder(settings)
    names = [(catalogue.facility, catalogue.gateway) for catalogue in made.catalogues]
    if (facility, gateway) not in names:
        raise EdgeError(f"there is no gateway {facility}/{gateway}")
    index = names.index((facility, gateway))
    source = made.gateway(index, settings.start_ms)
    return (source.batch(sequence) for sequence in made.link(index).sent())


def expected_readings(settings: SimulatorSettings, facility: str, gateway: str) -> Block:
    """All readings that a gateway's machines make in a whole run, by slot, then time.

    A real gateway makes batches of its own of them. The whole run is held in memory.
    Raises: EdgeError: as `expected_batches`.
    """
    batches = list(expected_batches(settings, facility, gateway))
    good = [np.zeros(len(b), np.uint8) if b.quality is None else b.quality for b in batches]
    slot = np.concatenate([batch.slots() for batch in batches])
    time_ms = np.concatenate([times_of(batch) for batch in batches])
    order = np.lexsort((time_ms, slot))
    value = np.concatenate([batch.value for batch in batches])
    return Block(slot[order], time_ms[order], value[order], np.concatenate(good)[order])


class FleetBuilder:
    """Makes the gateways of a simulation from what they share.

    catalogues: of all gateways, by facility, then gateway; a gateway's index is its place here.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        """Raises: EdgeError: a template, faults or recordings that do not fit, all of them."""
        self._settings = settings
        self._template = read_template(settings.template)
        self.catalogues = fleet(
            self._template, settings.facilities, settings.sensors, settings.gateways
        )
        self._behaviour = [
            Behaviour.of(place(self._template, settings.sensors, number))
            for number in range(settings.gateways)
        ]
        self._pool = NoisePool(settings.seed, self._largest_batch())
        self._recordings = self._place_recordings()

    def gateway(self, index: int, start_ms: int) -> SimulatedGateway:
        """The gateway of that index. Args: start_ms: event time of the simulation's first tick."""
        settings, catalogue = self._settings, self.catalogues[index]
        behaviour = self._behaviour[index % settings.gateways]
        key = key_of(settings.seed, catalogue.facility, catalogue.gateway)
        signal = Signal.draw(behaviour, generator(key))
        start_ms += self._phase_ms(index) if settings.stagger_ticks else 0
        faults = [
            place_fault(fault, catalogue, signal, settings.tick_ms, start_ms)
            for fault in settings.faults
        ]
        return SimulatedGateway(
            catalogue,
            Timetable(behaviour, signal, settings.tick_ms, mix(key, 0)),
            self._pool,
            key,
            start_ms,
            settings.tick_ms,
            settings.epoch,
            self._template.imperfections,
            [fault for fault in faults if fault],
            self._recordings.get(index, []),
        )

    def link(self, index: int) -> Link:
        """The way of that gateway's batches to Kafka."""
        settings = self._settings
        facility, phase_ms = self.catalogues[index].facility, self._phase_ms(index)
        return Link(settings.links, facility, settings.tick_ms, phase_ms, settings.ticks)

    def _phase_ms(self, index: int) -> int:
        """Where in the tick the gateway's facility has its turn: facilities share it evenly."""
        facility = index // self._settings.gateways
        return facility * self._settings.tick_ms // self._settings.facilities

    def _largest_batch(self) -> int:
        tick_ms = self._settings.tick_ms
        return max(int(sum(-(-tick_ms // b.period_ms))) for b in self._behaviour)

    def _place_recordings(self) -> dict[int, list[PlacedRecording]]:
        """The recordings by index of their gateway; here because this is where all is checked."""
        settings, mistakes = self._settings, self._missed_faults()
        index_of = {(c.facility, c.gateway): index for index, c in enumerate(self.catalogues)}
        placed: dict[int, list[PlacedRecording]] = {}
        for play in settings.recordings:
            index = index_of.get((play.facility, play.gateway))
            if index is None:
                mistakes.append(f"recording: there is no gateway {play.facility}/{play.gateway}")
                continue
            try:
                recording = read_recording(play.recording)
                made = place_recording(play, recording, self.catalogues[index], settings.tick_ms)
                placed.setdefault(index, []).append(made)
            except EdgeError as error:
                mistakes.append(str(error))
        if mistakes:
            raise EdgeError("\n".join(mistakes))
        return placed

    def _missed_faults(self) -> list[str]:
        """A fault that meets no sensor is a typing mistake."""
        return [
            f"faults.{number}: {_missed(fault, self.catalogues[0])}"
            for number, fault in enumerate(self._settings.faults)
            if not any(fault.slots(catalogue).any() for catalogue in self.catalogues)
        ]


def _missed(fault: Fault, catalogue: Catalogue) -> str:
    close = difflib.get_close_matches(fault.sensors, catalogue.name, n=1) or catalogue.name[:1]
    what = f'"{fault.sensors}" of kind "{fault.sensor_kind}" at {fault.facility}/{fault.gateway}'
    return f"no sensor matches {what}; sensors are named as {close[0]}"
