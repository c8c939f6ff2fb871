"""A Kafka of its own for the tests of a folder, and the way to it that gateways take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from edge.settings import UplinkSettings
from jobs.common.topics import ensure_topics
from jobs.local import kafka
from jobs.local.ports import LOOPBACK, free_ports
from jobs.local.process import finish, spawn, stop, wait_ready
from tests.edge.uplink.fakes import FACILITY

# everybody may do everything, until a test takes a right away
_RIGHTS = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:nobody
"""


@dataclass
class Broker:
    """A Kafka of its own, and the ports of the way that gateways take."""

    bootstrap: str
    listen: int
    to: int

    def settings(self, **more: object) -> UplinkSettings:
        return UplinkSettings.model_validate({"bootstrap": f"{LOOPBACK}:{self.listen}"} | more)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("kafka")
    port, controller, edge, listen = free_ports(4)
    properties = folder / "kafka.properties"
    settings = kafka.server_properties(folder / "data", port, controller, edge=(edge, listen))
    properties.write_text(f"{settings}\n{_RIGHTS}\n")
    tool = spawn("format", kafka.format_command(properties), folder / "format.out", folder)
    assert finish(tool, 60) == 0
    child = spawn("kafka", kafka.broker_command(properties), folder / "kafka.out", folder)
    try:
        wait_ready("Kafka", lambda: kafka.is_ready(port), [child], 60)
        ensure_topics(f"{LOOPBACK}:{port}", [FACILITY])
        yield Broker(f"{LOOPBACK}:{port}", listen, edge)
    finally:
        stop([child], 10)
