"""Everything that an operator of a gateway may set: one YAML file, checked before it starts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from edge.documents import Label, Model, Tags, read_document

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class TlsSettings(Model):
    """Certificates of a connection. Files are read again when they change: no restart to renew."""

    ca: Path = Field(description="Certificates that are trusted, PEM.")
    certificate: Path | None = Field(default=None, description="Own certificate (mTLS), PEM.")
    key: Path | None = Field(default=None, description="Key of the own certificate, PEM.")

    @model_validator(mode="after")
    def _pair(self) -> TlsSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or none")
        return self


class MqttSettings(Model):
    """A broker to read from, and to tell local alarms to."""

    host: str = Field(default="127.0.0.1", description="Host of the broker.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=1883, description="Its port.")
    protocol: Literal["3.1.1", "5"] = Field(default="5", description="MQTT version.")
    client_id: str | None = Field(
        default=None, description="Client id; none: hardiot-<facility>-<gateway>."
    )
    username: str | None = Field(default=None, description="User name.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    tls: TlsSettings | None = Field(default=None, description="None: without TLS.")
    receive_maximum: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=16384,
        description="Messages that may be unacknowledged: all of about 1.5 s. The broker's own "
        "limit (Mosquitto: max_inflight_messages) must not be lower.",
    )
    session_expiry_s: PositiveInt = Field(
        default=90_000, description="How long the broker keeps messages for a gateway that is away."
    )
    sparkplug: tuple[str, ...] = Field(
        default=("spBv1.0/#",), description="Sparkplug B topics to subscribe to; empty: none."
    )
    sensor_name: Literal["metric", "device.metric"] = Field(
        default="metric",
        description="Names of Sparkplug sensors: the metric's (with the device before it where the "
        "metric names no machine, or another device has the name), or always with the device.",
    )
    json_mapping: Path | None = Field(
        default=None, description="Mapping file (YAML) of plain JSON topics; none: no such topics."
    )


class OpcUaNode(Model):
    """One variable of an OPC UA server."""

    node: str = Field(description="Node id, as ns=2;s=Pump1.Flow.")
    sensor: str = Field(description="Name of the sensor.")
    unit: str = Field(
        default="", description="Unit in which the server reports; empty: as it says itself."
    )
    kind: str = Field(default="", description="Kind of the sensor.")
    asset: str = Field(default="", description="Machine that it belongs to.")
    asset_type: Label | None = Field(default=None, description="Type of the machine, as pump.")
    tags: Tags = Field(default=(), description="Tags, as line-2.")


class OpcUaSecurity(Model):
    """Signed and encrypted messages. The server must trust our certificate, and we trust one."""

    policy: Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = Field(
        default="Basic256Sha256", description="Security policy, one that the server offers."
    )
    mode: Literal["Sign", "SignAndEncrypt"] = Field(
        default="SignAndEncrypt", description="Whether messages are only signed."
    )
    certificate: Path = Field(description="Own certificate, PEM or DER, with our URI in it.")
    key: Path = Field(description="Its key, PEM or DER.")
    server_certificate: Path = Field(description="The one certificate that is trusted.")


class OpcUaSettings(Model):
    """An OPC UA server to subscribe to. Needs edge/requirements-opcua.txt."""

    url: Annotated[str, Field(pattern=r"^opc\.tcp://[^@]+$")] = Field(
        description="Endpoint, as opc.tcp://127.0.0.1:4840."
    )
    publishing_ms: Annotated[int, Field(ge=50, le=60_000)] = Field(
        default=500, description="Publishing interval."
    )
    sampling_ms: PositiveInt | None = Field(
        default=None, description="How often the server looks at a variable; none: as published."
    )
    queue_size: Annotated[int, Field(ge=2, le=100_000)] = Field(
        default=20,
        description="Values of a variable that the server keeps for us: with 20 and a sampling of "
        "500 ms, a pause of 10 s on our side or the network's loses nothing.",
    )
    username: str | None = Field(default=None, description="User name.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    security: OpcUaSecurity | None = Field(default=None, description="None: neither of the two.")
    nodes: Annotated[tuple[OpcUaNode, ...], Field(min_length=1)] = Field(
        description="What to subscribe to."
    )

    @model_validator(mode="after")
    def _once(self) -> OpcUaSettings:
        for what in ("node", "sensor"):
            counts = Counter(getattr(node, what) for node in self.nodes)
            twice = sorted(name for name, count in counts.items() if count > 1)
            if twice:
                raise ValueError(f"{what} is there more than once: {', '.join(twice[:10])}")
        return self


class TickSettings(Model):
    """How readings become batches."""

    tick_ms: Annotated[int, Field(ge=100, le=10_000)] = Field(
        default=1000, description="Length of a tick: one batch."
    )
    settle_ms: PositiveInt = Field(
        default=150, description="How long a tick waits for readings after its end."
    )
    hold_ms: PositiveInt = Field(
        default=2000, description="How long stragglers of one tick may hold up those after it."
    )


class SpoolSettings(Model):
    """The store on disk."""

    folder: Path = Field(
        default=Path("spool"), description="Folder, on a disk that keeps what it syncs."
    )
    max_bytes: Annotated[int, Field(ge=4 * 1024 * 1024)] = Field(
        default=8 * 1024**3, description="Hard cap of everything in the folder."
    )
    segment_bytes: Annotated[int, Field(ge=64 * 1024)] = Field(
        default=16 * 1024**2, description="Size of a segment; the smallest unit that is dropped."
    )
    group_bytes: PositiveInt = Field(default=64 * 1024, description="Commit when this much waits.")
    group_ms: PositiveInt = Field(default=50, description="Commit at the latest after this.")
    checkpoint_s: PositiveFloat = Field(
        default=60, description="Time between two checkpoints of filters and rules."
    )


class UplinkSettings(Model):
    """The way to Kafka."""

    bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka, as host:port,...")
    tls: TlsSettings | None = Field(default=None, description="None: without TLS.")
    compression: Literal["zstd", "lz4", "none"] = Field(default="lz4", description="Codec.")
    live_within_s: PositiveFloat = Field(
        default=10, description="A batch older than this is sent as backlog."
    )
    give_up_s: PositiveFloat = Field(
        default=30, description="Without an answer after this, a live batch goes to the backlog."
    )
    in_flight_bytes: PositiveInt = Field(
        default=4 * 1024**2, description="Bytes that may wait for Kafka's answer."
    )
    backlog_factor: PositiveFloat = Field(
        default=4, description="Backlog is sent at most this many times as fast as live data."
    )
    admission: Literal["off", "required"] = Field(
        default="off", description="Whether backlog needs the cloud's token (topic admission.)."
    )
    ledger_s: PositiveFloat = Field(default=10, description="Time between two words to the ledger.")


class HttpSettings(Model):
    """Local page, health and metrics."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: NonNegativeInt = Field(default=8790, description="Port; 0: any free one.")


class GatewaySettings(Model):
    """One gateway."""

    facility: Name = Field(description="The site; the tenant.")
    gateway: Name = Field(default="gw-1", description="Name of this box at its site.")
    mqtt: MqttSettings | None = Field(default=None, description="Read from an MQTT broker.")
    opcua: tuple[OpcUaSettings, ...] = Field(default=(), description="Read from OPC UA servers.")
    catalogue: Path | None = Field(
        default=None, description="YAML file of sensors: what births and messages do not say."
    )
    filters: Path | None = Field(default=None, description="YAML file of filters, by kind.")
    rules: Path | None = Field(
        default=None,
        description="Folder of rules, run until a rulebook comes; none: the cloud's, of the same "
        "release.",
    )
    follow_rules: bool = Field(
        default=True,
        description="Whether the newest rulebook of topic `rules` is run, and kept for a restart; "
        "false: only the folder's rules, ever.",
    )
    alarm_topic: str = Field(
        default="hardiot/{facility}/{gateway}/alarms", description="MQTT topic of local alarms."
    )
    ticks: TickSettings = TickSettings()
    spool: SpoolSettings = SpoolSettings()
    uplink: UplinkSettings = UplinkSettings()
    http: HttpSettings = HttpSettings()


def read_settings(path: Path) -> GatewaySettings:
    """Settings from a YAML file. Raises: EdgeError: one line for each mistake in it."""
    return read_document(path, GatewaySettings)
