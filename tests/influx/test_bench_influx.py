"""hardiot bench influx with a load of a second: its keys, and that every point is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.cli.bench import influx
from jobs.local.influxdb import program

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(program() is None, reason="no InfluxDB server: run `make influxdb`"),
]


def test_every_point_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(influx, "RUNS", tmp_path)
    monkeypatch.setattr(influx, "POINTS_A_S", 2_000)
    found = influx.measure(facilities=2, seconds=10, sensors=500)
    assert found["lost_or_repeated"] == 0
    assert found["points_per_s"] >= 0 and found["series"] == 1_000
    assert "2 gateways of 500 sensors, 20 minutes, 3 fields a point" in found["load"]
    assert list(tmp_path.iterdir()) == []
