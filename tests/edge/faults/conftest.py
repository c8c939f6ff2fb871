"""A broker, a look at what passes between it and the gateway, and gateways that end with a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.local.mosquitto import Mosquitto
from jobs.local.ports import LOOPBACK
from tests.edge.faults.box import Box, broker
from tests.edge.faults.machines import FACILITY
from tests.edge.faults.tap import Tap

# port of the broker, folder of the spool, its max_bytes and segment_bytes
MakeGateway = Callable[[int, Path, int, int], Box]


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto") as running:
        yield running


@pytest.fixture
def tap(mosquitto: Mosquitto) -> Iterator[Tap]:
    made = Tap(mosquitto.port)
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[MakeGateway]:
    """Makes gateways that never get through to Kafka."""
    made: list[Box] = []

    def make(port: int, spool: Path, max_bytes: int, segment_bytes: int) -> Box:
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        settings = {"folder": str(spool), "max_bytes": max_bytes, "segment_bytes": segment_bytes,
                    "checkpoint_s": 1}  # fmt: skip
        box = Box(folder, FACILITY, mqtt=broker(port), spool=settings,
                  uplink={"bootstrap": f"{LOOPBACK}:1"})  # fmt: skip
        made.append(box)
        return box

    yield make
    for box in made:
        if box.alive:
            box.kill()
