"""Benchmarks of the gateway, with loads that take a second: keys, proof of the count, errors."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.timings import Timings
from jobs.cli.bench import gateway, mqtt, spool
from jobs.cli.bench.durations import between, quantile_ms
from jobs.cli.bench.gateway import Point, RealGateway
from jobs.cli.bench.main import KEYS
from jobs.cli.main import app
from jobs.common.errors import HardiotError
from jobs.local.mosquitto import Mosquitto
from jobs.local.ports import free_ports
from udfs.batch import Batch


def timings(*seconds: float) -> Timings:
    made = Timings()
    for each in seconds:
        made.note(each)
    return made


def test_quantiles_lie_between_the_bounds_of_their_step() -> None:
    noted = timings(0.0015, 0.0015, 0.004, 0.004).durations()
    assert quantile_ms(noted, 0.25) == pytest.approx(1.5)
    assert quantile_ms(noted, 0.5) == pytest.approx(2.0)
    assert quantile_ms(noted, 0.75) == pytest.approx(3.5)
    assert quantile_ms(noted, 1.0) == pytest.approx(5.0)


def test_quantiles_of_nothing_and_of_what_is_too_long() -> None:
    assert quantile_ms(timings().durations(), 0.5) is None
    assert quantile_ms(timings(60.0).durations(), 0.5) == 10_000


def test_only_what_was_noted_between_two_looks() -> None:
    begin, end = timings(60.0).durations(), timings(60.0, 0.0015).durations()
    found = between(begin, end)
    assert (found.count, found.sum_s) == (1, pytest.approx(0.0015))
    assert quantile_ms(found, 1.0) == pytest.approx(2.0)


def test_spool_stores_and_finds_everything_again(tmp_path: Path) -> None:
    found = spool.measure(0.3, tmp_path / "spool", sensors=200)
    assert set(KEYS[:2]) <= set(found) and found["readings_per_s"] > 0
    assert 1 < found["bytes_per_reading"] < 7
    assert found["commits"] >= 1 and found["commit_p99_ms"] >= found["commit_p50_ms"]
    assert found["day_factor"] > 1 and 0 < found["day_gb"] < 1
    assert 0 < found["recovery_s"] < 10


def test_spool_counts_bytes_that_were_written(tmp_path: Path) -> None:
    """Not the files' sizes: most of a small spool is room made in advance."""
    disk = spool.CountingDisk()
    disk.write(disk.create(tmp_path / "file", 4096), b"12345678", 16)
    assert disk.written == 8 and (tmp_path / "file").stat().st_size == 4096


def test_spool_wants_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "letter").touch()
    with pytest.raises(HardiotError, match="has something in it; give a new folder"):
        spool.measure(0.1, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_spool_as_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(spool, "measure", lambda *args: asked.append(args) or {"readings_per_s": 1})
    args = ["bench", "spool", "--seconds", "12", "--folder", str(tmp_path), "--output", "json"]
    result = CliRunner().invoke(app, args)
    assert asked == [(12, tmp_path)]
    found = json.loads(result.stdout)
    assert list(found) == list(KEYS) and found["readings_per_s"] == 1 and found["machine"]


def test_a_reading_that_is_missing_or_twice_is_an_error() -> None:
    def batch(*values: float) -> Batch:
        return Batch("plant-0001", "gw-1", 1, 1, time_ms=1000, value=np.array(values))

    whole = batch(1.0, 2.0)
    mqtt._compare([whole], [whole])
    for found in ([], [whole, whole], [batch(1.0, 2.5)]):
        with pytest.raises(HardiotError, match="2 readings sent"):
            mqtt._compare([whole], found)


def point(at_s: float, stored: int, rss_mb: float) -> Point:
    seconds = [0.0015] * round(at_s)
    noted = timings(*seconds).durations()
    return Point(at_s, stored, at_s / 2, at_s / 4, at_s / 8, rss_mb, noted, noted)


def test_figures_of_what_lies_between_the_first_look_and_the_last() -> None:
    points = [point(10, 1000, 100.0), point(40, 2000, 101.0), point(70, 4000, 102.0)]
    found = mqtt._figures(points)
    assert found["readings_per_s"] == pytest.approx(50) and found["measured_s"] == 60
    assert found["readings_per_cpu_s"] == pytest.approx(100)
    assert (found["broker_cpu_s"], found["publisher_cpu_s"]) == (15, 7.5)
    assert found["commits"] == 60 and found["puback_p99_ms"] == pytest.approx(1.99)
    assert (found["first_rss_mb"], found["rss_mb"]) == (100, 102)
    assert found["rss_mb_per_minute"] == pytest.approx(2.0)


@pytest.mark.stack
def test_a_real_gateway_has_on_disk_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "WARM_UP_S", 0.5)
    monkeypatch.setattr(mqtt, "_EVERY_S", 0.5)
    with Mosquitto(tmp_path / "mosquitto") as broker:
        found = mqtt._loaded(broker, tmp_path / "gateway", seconds=1, rate=300)
    assert found["lost_or_repeated"] == 0 and "600 readings sent" in found["load"]
    assert found["commits"] >= 1 and found["rss_mb"] > 20 and found["gateway_cpu_s"] > 0


def test_a_gateway_that_ends_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = RealGateway(tmp_path, broker_port=1)
    (tmp_path / "gateway.yaml").write_text("facility: plant-0001\nspol: {}\n")
    monkeypatch.setattr(gateway, "_LIMIT_S", 10)
    began_s = time.monotonic()
    with pytest.raises(HardiotError, match="spol"), made:
        pass
    assert time.monotonic() - began_s < 8


def test_a_gateway_that_finds_no_broker_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_LIMIT_S", 1.0)
    made = RealGateway(tmp_path, broker_port=free_ports(1)[0])
    with pytest.raises(HardiotError, match="the gateway is not ready after 1 s"), made:
        pass
    assert made._child is not None and not made._child.alive
