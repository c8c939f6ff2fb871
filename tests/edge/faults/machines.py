"""Machines that send many bytes: random doubles do not pack, and event time runs faster than ours.

    machines = Machines(port, sensors=2000, seconds=600, per_s=40)
    machines.start()
    ...
    machines.join()
    expected = machines.values(7)            # of the tick `first_ms + 7 * 1000`

Sensor 0 is a bearing that gets hot every five minutes, so that alerts come, too.
"""

from __future__ import annotations

import time
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.simulator.publisher import MqttOutlet
from edge.simulator.settings import BrokerSettings
from jobs.local.ports import LOOPBACK
from udfs.batch import Batch
from udfs.catalogue import Catalogue

FACILITY, GATEWAY = "plant-0001", "gw-1"
TICK_MS = 1000
MINUTE_MS = 60_000
# messages of one second that the broker may not have acknowledged; nothing is ever left out
_IN_FLIGHT, _QUEUE_MB, _LAST_S = 2000, 256, 120.0


class Machines(Thread):
    """One device of all sensors: each event second is one message by QoS 1.

    seconds: of event time. per_s: event seconds a second. first_ms, end_ms: when event time begins
    and ends. sent: messages given to the network.
    """

    def __init__(
        self, port: int, sensors: int, seconds: int, per_s: float, first_ms: int | None = None
    ) -> None:
        super().__init__(name="machines", daemon=True)
        self.sensors, self.seconds, self.sent = sensors, seconds, 0
        self._per_s, self._end = per_s, Event()
        # so far back that it is over before event time has reached ours
        before_ms = (time.time_ns() // 10**6 // MINUTE_MS - seconds // 60 - 3) * MINUTE_MS
        self.first_ms = before_ms if first_ms is None else first_ms
        self.end_ms = self.first_ms + seconds * TICK_MS
        settings = BrokerSettings(
            host=LOOPBACK, port=port, metrics_per_message=sensors, in_flight=_IN_FLIGHT
        )
        self._catalogue = _catalogue(sensors)
        self._outlet = MqttOutlet(settings, [self._catalogue], _QUEUE_MB, 0)
        self.unacknowledged = -1

    def values(self, second: int) -> npt.NDArray[np.float64]:
        """What the sensors show in an event second, float64 (sensors,)."""
        values = np.random.default_rng((7, second)).standard_normal(self.sensors)
        values[0] = 99.0 if second // 150 % 2 else 20.0
        return values

    def tell(self) -> None:
        """No more: what has not been sent is not sent."""
        self._end.set()

    def run(self) -> None:
        """Send at the pace, or as fast as the broker takes it."""
        gateway: Any = SimpleNamespace(catalogue=self._catalogue, is_sent_twice=lambda *_: False)
        self._outlet.open(self._end, 30)
        began_s = time.monotonic()
        while self.sent < self.seconds and not self._end.is_set():
            due = int((time.monotonic() - began_s) * self._per_s) + 1
            while self.sent < min(due, self.seconds) and self._outlet.send(
                gateway, self._batch(self.sent)
            ):
                self.sent += 1
            self._outlet.serve(0.005)
        self.unacknowledged = self._outlet.close(_LAST_S)

    def _batch(self, second: int) -> Batch:
        at_ms = self.first_ms + second * TICK_MS
        return Batch(FACILITY, GATEWAY, 1, second, at_ms, self.values(second))


def _catalogue(sensors: int) -> Catalogue:
    names = ("pump-001.bearing-temperature", *(f"s{n:05d}" for n in range(1, sensors)))
    empty = ("",) * (sensors - 1)
    return Catalogue(
        facility=FACILITY, gateway=GATEWAY, version=1, name=names, unit=("degC", *empty),
        kind=("temperature", *empty), asset=("pump-001", *empty), low=np.full(sensors, -np.inf),
        high=np.full(sensors, np.inf), period_ms=np.full(sensors, TICK_MS, np.int32),
    )  # fmt: skip
