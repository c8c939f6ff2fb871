"""Three machines in seven eventful minutes, the same in every run: what rules.yaml is about.

A sensor is an array of values, NaN where it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.edge.rig import START_MS
from udfs.batch import Batch, Floats
from udfs.catalogue import Catalogue

FACILITY, GATEWAY = "four-places", "gw-1"
SECONDS = 420
PAUSE_S = (244, 247)  # nobody says anything: the gateway makes empty batches, a file has none


@dataclass
class Sensor:
    """One sensor. value: one each `period_ms`, the first one `offset_ms` after the start."""

    name: str
    unit: str
    kind: str
    value: Floats
    period_ms: int = 1000
    offset_ms: int = 0
    low: float = -1e6
    high: float = 1e6

    @property
    def time_ms(self) -> np.ndarray:
        """Event time of each value."""
        return START_MS + self.offset_ms + self.period_ms * np.arange(len(self.value))


class Levels:
    """A level with noise, and others for some seconds."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def draw(
        self, usual: float, noise: float, *others: tuple[float, float, float], period_ms: int = 1000
    ) -> Floats:
        """others: (from second, to second, level)."""
        second = np.arange(0, SECONDS, period_ms / 1000)
        level = np.full(len(second), usual, np.float64)
        for begin, end, other in others:
            level[(second >= begin) & (second < end)] = other
        value = np.round(level + noise * self._random.standard_normal(len(level)), 3)
        value[(second >= PAUSE_S[0]) & (second < PAUSE_S[1])] = np.nan
        return value


def sensors(seed: int = 5) -> list[Sensor]:
    """All that there are, by machine."""
    draw, silent = Levels(seed).draw, np.nan
    found = [
        Sensor("pump-1.bearing-temperature", "°C", "temperature", draw(
            65, 0.3, (60, 75, 85), (75, 80, 78), (90, 92, 85), (200, 280, 92), (284, 300, 92),
            (416, 420, 95))),
        Sensor("pump-1.vibration", "mm/s", "vibration", draw(
            2, 0.1, (66, 69, 8), (72, 75, 8), period_ms=200), period_ms=200),
        Sensor("pump-1.inlet-pressure", "bar", "pressure", draw(3, 0.02)),
        Sensor("pump-1.outlet-pressure", "bar", "pressure", draw(6, 0.02, (120, 140, 4))),
        Sensor("pump-1.power", "kW", "power", draw(10, 0.1, (0, 30, 0), (160, 220, 0))),
        Sensor("pump-1.flow", "m3/h", "flow", draw(12, 0.1, (0, 40, 0), (160, 262, 0))),
        Sensor("tank-1.level", "%", "level", draw(50, 0.2, (170, 185, 90), (240, 246, 140)),
            offset_ms=370, low=0, high=100),
        Sensor("tank-1.temperature", "°C", "temperature", draw(20, 0.2)),
        Sensor("tank-1.pressure", "bar", "pressure", draw(4, 0.01)),
        Sensor("motor-1.current", "A", "current", draw(10, 0.3, *[
            (second, second + 1, 25) for second in range(210, 230) if second % 5 != 2])),
        Sensor("motor-1.winding-temperature", "°C", "temperature", draw(70, 0.2, (250, 270, 82))),
        Sensor("motor-1.speed", "1/min", "speed", draw(1500, 2, (320, 340, 1700))),
        Sensor("motor-1.oil-temperature", "°C", "temperature", draw(
            40, 0.1, (180, 230, silent), period_ms=5000), period_ms=5000),
        Sensor("motor-1.vibration", "mm/s", "vibration", draw(1, 0.05, (330, 345, silent))),
    ]  # fmt: skip
    by_name = {sensor.name: sensor.value for sensor in found}
    by_name["tank-1.temperature"][100:150] = 20.5
    # a bad contact: who knows that the sensor samples each second does not hold a value for long
    by_name["pump-1.outlet-pressure"][1::2] = silent
    by_name["pump-1.outlet-pressure"][121:128] = silent
    by_name["tank-1.pressure"][300:] += np.minimum(np.arange(SECONDS - 300), 10)
    return found


class Plant:
    """The machines, as `tests.edge.rig.Site` has them."""

    def __init__(self, made: Sequence[Sensor] | None = None) -> None:
        made = made or sensors()
        self.catalogue = _catalogue(made)
        time_ms = np.concatenate([sensor.time_ms for sensor in made])
        slot = np.repeat(np.arange(len(made)), [len(sensor.value) for sensor in made])
        value = np.concatenate([sensor.value for sensor in made])
        order = np.lexsort((time_ms, slot, time_ms // 1000))
        order = order[~np.isnan(value[order])]
        self._time_ms, self._slot, self._value = time_ms[order], slot[order], value[order]
        self._edges = np.searchsorted(
            self._time_ms // 1000, START_MS // 1000 + np.arange(SECONDS + 1)
        )

    def batch(self, sequence: int) -> Batch:
        """What is said in a second; it may be nothing."""
        start_ms = START_MS + 1000 * sequence
        begin, end = self._edges[sequence : sequence + 2]
        return Batch(
            FACILITY,
            GATEWAY,
            epoch=1,
            sequence=sequence,
            time_ms=start_ms,
            value=self._value[begin:end],
            sensor=self._slot[begin:end].astype(np.uint32),
            offset_ms=(self._time_ms[begin:end] - start_ms).astype(np.int32),
        )


def _catalogue(made: Sequence[Sensor]) -> Catalogue:
    assets = [sensor.name.split(".")[0] for sensor in made]
    return Catalogue(
        FACILITY,
        GATEWAY,
        version=1,
        name=tuple(sensor.name for sensor in made),
        unit=tuple(sensor.unit for sensor in made),
        kind=tuple(sensor.kind for sensor in made),
        asset=tuple(assets),
        low=np.array([sensor.low for sensor in made], np.float64),
        high=np.array([sensor.high for sensor in made], np.float64),
        period_ms=np.array([sensor.period_ms for sensor in made], np.int32),
        asset_type=tuple(asset.split("-")[0] for asset in assets),
        tags=tuple("critical,line-1" if asset == "pump-1" else "line-1" for asset in assets),
    )
