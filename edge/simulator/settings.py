"""Everything that a simulation depends on: same settings with a start time, same bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from edge.documents import Model, read_document
from edge.simulator.faults import Fault
from edge.simulator.links import LinkFaults
from edge.simulator.recordings import Play

PLANT = Path(__file__).parents[2] / "flink-conf" / "catalogue" / "plant.yaml"


class BrokerSettings(Model):
    """An MQTT broker, and how the machines of a facility speak to it."""

    host: str = Field(default="127.0.0.1", description="Host of the broker.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=1883, description="Its port.")
    username: str | None = Field(default=None, description="User name.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    metrics_per_message: PositiveInt = Field(
        default=100, description="Sensors of one device, and so metrics of one message at most."
    )
    in_flight: Annotated[int, Field(ge=1, le=20_000)] = Field(
        default=200, description="Messages of one gateway that may wait for the broker's answer."
    )

    @staticmethod
    def parse(text: str) -> dict[str, str]:
        """The fields that HOST:PORT, HOST or :PORT says. Checked with all the others."""
        host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
        return {name: value for name, value in (("host", host), ("port", port)) if value}


class SimulatorSettings(Model):
    """What to simulate, and where to send it."""

    mqtt: BrokerSettings | None = Field(
        default=None,
        description="Send as the machines behind a gateway, to this MQTT broker; none: as the "
        "gateways themselves, to Kafka.",
    )
    bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka, as host:port,...")
    template: Path = Field(
        default=PLANT, description="Plant template (YAML) that the fleet is made from."
    )
    facilities: PositiveInt = Field(default=3, description="Number of facilities.")
    gateways: PositiveInt = Field(default=1, description="Gateways of each facility.")
    sensors: PositiveInt | None = Field(
        default=200,
        description="Sensors of each gateway; none means one train of the template's assets.",
    )
    tick_ms: PositiveInt = Field(default=1000, description="Length of a tick: one batch a gateway.")
    seconds: PositiveFloat | None = Field(
        default=None, description="Event time to simulate; none: endless."
    )
    batches: PositiveInt | None = Field(
        default=None, description="Batches a gateway, instead of seconds."
    )
    seed: NonNegativeInt = Field(default=1, description="Decides every value.")
    epoch: NonNegativeInt = Field(
        default=1,
        description="Spool generation of all gateways; a second run on the same Kafka needs more.",
    )
    start_ms: NonNegativeInt | None = Field(
        default=None,
        description="Event time of the first tick, a whole number of ticks; none: now.",
    )
    speed: PositiveFloat = Field(
        default=1,
        description="Event seconds a second; more than the machine can do is as fast as it can.",
    )
    stagger_ticks: bool = Field(
        default=False,
        description="Spread the load by starting each facility's ticks at its own time. Otherwise "
        "all ticks are whole, and a batch leaves up to one tick after its tick has ended.",
    )
    faults: tuple[Fault, ...] = Field(default=(), description="What goes wrong at the machines.")
    links: LinkFaults = Field(
        default=LinkFaults(), description="What goes wrong on the way to Kafka."
    )
    recordings: tuple[Play, ...] = Field(default=(), description="Real recordings to play.")
    produce_only: bool = Field(
        default=False, description="Make batches, send nothing, do not wait."
    )
    ledger_s: PositiveFloat = Field(default=10, description="Time between two words to the ledger.")
    queue_mb: Annotated[int, Field(ge=1, le=2048)] = Field(
        default=64,
        description="Batches waiting for the receiver at most, in MiB; then sending falls behind.",
    )

    @property
    def ticks(self) -> int | None:
        """Batches of each gateway, or None when endless."""
        if self.batches is not None or self.seconds is None:
            return self.batches
        return math.ceil(self.seconds * 1000 / self.tick_ms)

    @model_validator(mode="after")
    def _fits_together(self) -> SimulatorSettings:
        wrong = []
        if self.seconds is not None and self.batches is not None:
            wrong.append("give seconds or batches, not both")
        if self.start_ms is not None and self.start_ms % self.tick_ms:
            whole = self.start_ms - self.start_ms % self.tick_ms
            wrong.append(f"start_ms must be a whole number of ticks, as {whole}")
        if self.mqtt and (self.links.outages or self.links.lost):
            wrong.append(
                "links.outages and links.lost are faults between gateway and Kafka; with mqtt "
                "leave them out and cut the gateway's own link"
            )
        if self.mqtt and self.produce_only:
            wrong.append("produce_only sends nothing, not to mqtt either; leave one out")
        endless = self.ticks is None
        if endless and self.produce_only:
            wrong.append("produce_only needs seconds or batches")
        if endless and self.speed > 1 and self.start_ms is None:
            wrong.append("a speed over 1 needs seconds, batches or start_ms, or time runs ahead")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def first_tick_ms(self, now_ms: int) -> int:
        """Event time of the first tick: as set, the next whole tick, or, at a speed over 1, so far
        back that event time has caught up with now at the end."""
        if self.start_ms is not None:
            return self.start_ms
        whole = -(-now_ms // self.tick_ms) * self.tick_ms
        if self.speed <= 1 or self.ticks is None:
            return whole
        return whole - math.ceil(self.ticks * (1 - 1 / self.speed) + 1) * self.tick_ms


def read_settings(path: Path) -> SimulatorSettings:
    """Settings from a YAML file. Raises: EdgeError: one line for each mistake in it."""
    return read_document(path, SimulatorSettings)
