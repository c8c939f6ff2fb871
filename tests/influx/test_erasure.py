"""Minutes that are restated to no good reading: which, and how InfluxDB is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jobs.influx.erasure import Erasure, erasure_of
from jobs.influx.series import series_of
from tests.influx.plant import catalogue, policy, rollup


@pytest.mark.parametrize(
    ("revision", "count", "expected"),
    [
        (2, [60, 0, 60, 0], ("pump-0.flow", "pump-1.flow")),
        (2, [60, 60, 60, 60], None),
        (1, [60, 0, 60, 0], None),  # what only grows cannot have become empty
    ],
)
def test_only_a_restated_minute_can_lose_values(
    revision: int, count: list[int], expected: tuple[str, ...] | None
) -> None:
    of = catalogue()
    item = replace(rollup(of, 0, revision), count=np.array(count, np.uint32))
    found = erasure_of(item, series_of(of, policy()), np.arange(4))
    assert (found and found.sensors) == expected


def test_texts_are_quoted() -> None:
    made = Erasure("plant-1", 'g"1', 60, ('a"b', "a\\b", "${x}"))
    assert made.predicate == '_measurement="rollup" AND facility="plant-1" AND gateway="g\\"1"'
    (query,) = made.queries("b")
    assert r'r.sensor == "a\"b" or r.sensor == "a\\b" or r.sensor == "\${x}"' in query
    assert "range(start: 60, stop: 61)" in query


def test_many_sensors_are_asked_for_some_at_a_time() -> None:
    made = Erasure("plant-1", "gw-1", 0, tuple(str(n) for n in range(450)))
    queries = list(made.queries("b"))
    assert [query.count("r.sensor ==") for query in queries] == [200, 200, 50]
