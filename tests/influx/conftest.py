"""A real Kafka and a real InfluxDB for the tests of the publisher."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.local.broker import Broker
from jobs.local.influxdb import InfluxDb, program
from tests.influx.site import Site
from tests.support.http_faults import HttpFaults


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, InfluxDb]]:
    if program() is None:
        pytest.skip("no InfluxDB server: run `make influxdb`")
    folder = tmp_path_factory.mktemp("servers")
    with Broker(folder / "kafka") as broker, InfluxDb(folder / "influxdb") as server:
        yield broker.bootstrap, server


@pytest.fixture
def site(servers: tuple[str, InfluxDb], tmp_path: Path) -> Site:
    bootstrap, server = servers
    return Site(tmp_path, bootstrap, server)


@pytest.fixture
def faults(servers: tuple[str, InfluxDb]) -> Iterator[HttpFaults]:
    """The way to InfluxDB; `server.stop()` shows through it as it is."""
    with HttpFaults(servers[1].url) as made:
        yield made
