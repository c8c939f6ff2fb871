"""How fast one core makes batches: generate and encode, nothing is sent."""

from __future__ import annotations

import time
from pathlib import Path

from edge.simulator.build import FleetBuilder
from edge.simulator.settings import PLANT, SimulatorSettings
from udfs.batch import encode

_WARM_UP = 20  # batches


def measure(
    template: Path = PLANT, facilities: int = 20, sensors: int = 5000, batches: int = 4000
) -> dict[str, float | str]:
    """Make batches of the facilities in turn, tick by tick, on one core.

    Args: sensors: of each gateway. batches: in all.
    Returns: readings_per_s (by the clock), readings_per_cpu_s (of this process),
        bytes_per_reading (of encoded batches, uncompressed) and load, in words.
    """
    settings = SimulatorSettings(
        template=template, facilities=facilities, sensors=sensors, batches=1, start_ms=0
    )
    fleet = FleetBuilder(settings)
    gateways = [fleet.gateway(index, 1_750_000_000_000) for index in range(facilities)]
    for number in range(_WARM_UP):
        encode(gateways[number % facilities].batch(number))
    readings = size = 0
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(batches):
        batch = gateways[number % facilities].batch(number // facilities)
        readings += len(batch)
        size += len(encode(batch))
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {
        "readings_per_s": readings / wall_s,
        "readings_per_cpu_s": readings / cpu_s,
        "bytes_per_reading": size / readings,
        "load": f"{batches} batches of {sensors} sensors from {facilities} facilities of "
        f"{template.name}, generated and encoded on one core, not sent",
    }
