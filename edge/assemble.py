"""The parts of a gateway, made from its settings; nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from edge import keep
from edge.alarms import AlarmBoard, Message
from edge.catalogue_file import CatalogueFile, Document, read_catalogue
from edge.core import Core, Parts
from edge.errors import EdgeError
from edge.filters.pipeline import Pipeline
from edge.filters.settings import FilterSettings, read_filters
from edge.inputs.mqtt import MqttInput
from edge.inputs.result import Inbox
from edge.inputs.source import MqttSource, OpcUaSource, Source
from edge.ledger import Speaker
from edge.prescreen import Prescreen
from edge.registry import Registry
from edge.rulebooks import Rulebooks
from edge.rules import RuleSet, load_rules
from edge.settings import GatewaySettings
from edge.spool.spool import Spool
from edge.ticks import Ticks
from edge.uplink.admission import AdmissionReader
from edge.uplink.kafka import KafkaTransport
from edge.uplink.rules import Follower
from edge.uplink.rules_topic import RulesTopic
from edge.uplink.uplink import Uplink
from udfs.rules.model import Rule
from udfs.watch.watch import Watch

T = TypeVar("T")


@dataclass(slots=True)
class Assembly:
    """All parts of one gateway; `sources` are started and stopped with it."""

    registry: Registry
    spool: Spool
    filters: Pipeline
    ticks: Ticks
    prescreen: Prescreen
    core: Core
    board: AlarmBoard
    transport: KafkaTransport
    uplink: Uplink
    mqtt: MqttInput | None
    books: Rulebooks
    follower: Follower | None
    sources: list[Source] = field(default_factory=list)

    def publish(self, messages: Sequence[Message]) -> None:
        """Tell panels on site, where there is a broker."""
        if self.mqtt is not None:
            for message in messages:
                self.mqtt.publish(message.topic, message.payload, retain=message.retain)


@dataclass(frozen=True, slots=True)
class Files:
    """What the files say that the settings name."""

    catalogue: CatalogueFile
    filters: FilterSettings
    rules: list[Rule]


def read_files(settings: GatewaySettings) -> Files:
    """Read them. Raises: EdgeError: every mistake of all of them."""
    mistakes: list[str] = []

    def tried(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except EdgeError as error:
            mistakes.append(str(error))
            return otherwise

    nothing = CatalogueFile(Document())
    catalogue, filters = settings.catalogue, settings.filters
    files = Files(
        tried(lambda: read_catalogue(catalogue) if catalogue else nothing, nothing),
        tried(lambda: read_filters(filters) if filters else FilterSettings(), FilterSettings()),
        tried(lambda: load_rules(settings.rules), []),
    )
    if mistakes:
        raise EdgeError("\n".join(mistakes))
    return files


def assemble(settings: GatewaySettings, inbox: Inbox, now_ms: Callable[[], int]) -> Assembly:
    """Make everything. Args: now_ms: wall clock.

    Raises: EdgeError: files that the settings name are missing or wrong, a certificate, or the
        spool's folder cannot be used.
    """
    files = read_files(settings)
    facility, gateway = settings.facility, settings.gateway
    spool = Spool.open(settings.spool, now_ms())
    spool.roll_up = partial(keep.roll_up, facility, gateway)
    registry = Registry.open(settings.spool.folder, facility, gateway, files.catalogue.complete)
    ticks = Ticks(settings.ticks)
    filters = Pipeline(files.filters, registry, settings.ticks.tick_ms)
    books = Rulebooks(settings.spool.folder, RuleSet(files.rules))
    if settings.follow_rules:
        books.load()
    prescreen = Prescreen(books.newest.rules, facility, gateway, books.newest.revision)
    core = Core(settings, Parts(registry, ticks, filters, prescreen, spool, books))
    transport = KafkaTransport(settings.uplink, f"hardiot-{facility}-{gateway}")
    mqtt = _mqtt(settings, registry, inbox)
    return Assembly(
        registry,
        spool,
        filters,
        ticks,
        prescreen,
        core,
        AlarmBoard(settings.alarm_topic.format(facility=facility, gateway=gateway)),
        transport,
        _uplink(settings, spool, registry, transport),
        mqtt,
        books,
        _follower(settings, registry, books),
        _sources(settings, mqtt, registry, inbox, now_ms),
    )


def _mqtt(settings: GatewaySettings, registry: Registry, inbox: Inbox) -> MqttInput | None:
    if settings.mqtt is None:
        return None
    folder = settings.spool.folder
    return MqttInput(settings.mqtt, settings.facility, settings.gateway, registry, folder, inbox)


def _uplink(
    settings: GatewaySettings, spool: Spool, registry: Registry, transport: KafkaTransport
) -> Uplink:
    facility, gateway = settings.facility, settings.gateway
    admission = None
    if settings.uplink.admission == "required":
        admission = AdmissionReader(settings.uplink, facility, gateway)
    return Uplink(
        settings.uplink,
        facility,
        gateway,
        spool,
        registry,
        transport,
        Speaker(facility, gateway),
        settings.ticks.tick_ms,
        admission.poll if admission else None,
    )


def _follower(settings: GatewaySettings, registry: Registry, books: Rulebooks) -> Follower | None:
    if not settings.follow_rules:
        return None

    def tried(rules: Sequence[Rule]) -> None:
        if registry.newest:
            Watch(rules, registry.version(registry.newest))

    name = f"hardiot-{settings.facility}-{settings.gateway}"
    return Follower(RulesTopic(settings.uplink, name), books, tried)


def _sources(
    settings: GatewaySettings,
    mqtt: MqttInput | None,
    registry: Registry,
    inbox: Inbox,
    now_ms: Callable[[], int],
) -> list[Source]:
    found: list[Source] = [] if mqtt is None else [MqttSource(mqtt)]
    if settings.opcua:
        # here and not at the top: asyncua is large, and only such gateways have it
        from edge.inputs.opcua import OpcUaInput

        found += [
            OpcUaSource(server.url, OpcUaInput(server, registry, inbox, now_ms))
            for server in settings.opcua
        ]
    return found
