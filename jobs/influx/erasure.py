"""Minutes that were restated to no good reading: fields that have to go from InfluxDB.

Writing a point replaces its fields and removes none, so a mean of readings that are bad now would
stay. Deleting takes InfluxDB a second, whatever it is about; so it is asked first whether there is
anything, which most often there is not: a sensor that is empty in revision 2 was so in 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jobs.influx.lines import CLOUD, Rows, slots_of
from jobs.influx.series import Series
from udfs.rollup import FINAL, MinuteRollup

_SENSORS_A_QUERY = 200


@dataclass(frozen=True)
class Erasure:
    """A gateway's minute that is deleted before it is written anew, if one of `sensors` has values.

    second: UTC epoch seconds.
    """

    facility: str
    gateway: str
    second: int
    sensors: tuple[str, ...]

    @property
    def predicate(self) -> str:
        """All points of the gateway's sensors, for a delete."""
        tags = {"_measurement": CLOUD, "facility": self.facility, "gateway": self.gateway}
        return " AND ".join(f"{name}={_quoted(text)}" for name, text in tags.items())

    def queries(self, bucket: str) -> Iterator[str]:
        """Each gives a row if a value is there."""
        for start in range(0, len(self.sensors), _SENSORS_A_QUERY):
            some = self.sensors[start : start + _SENSORS_A_QUERY]
            these = " or ".join(f"r.sensor == {_quoted(name)}" for name in some)
            yield (
                f"from(bucket: {_quoted(bucket)}) "
                f"|> range(start: {self.second}, stop: {self.second + 1}) "
                f'|> filter(fn: (r) => r._measurement == "{CLOUD}" '
                f"and r.facility == {_quoted(self.facility)} "
                f"and r.gateway == {_quoted(self.gateway)} and ({these})) "
                '|> filter(fn: (r) => r._field != "count" and r._field != "bad" '
                'and r._field != "sum") |> group() |> limit(n: 1)'
            )


def erasure_of(rollup: MinuteRollup, series: Series, rows: Rows) -> Erasure | None:
    """What may have to go before these rows of a minute are written; None: nothing."""
    empty = rows[np.flatnonzero(rollup.count[rows] == 0)]
    if rollup.revision <= FINAL or not len(empty):
        return None
    names = series.sensor.take(slots_of(rollup)[empty]).to_pylist()
    return Erasure(rollup.facility, rollup.gateway, rollup.minute_ms // 1000, tuple(names))


def _quoted(text: str) -> str:
    """As a text of Flux, which is JSON's but for what it puts in itself."""
    return json.dumps(text, ensure_ascii=False).replace("${", r"\${")
