"""Sparkplug B: births, data and deaths of edge nodes and their devices, without a connection.

    sparkplug = SparkplugInput(registry, publish, folder)
    sparkplug.load()
    result = sparkplug.on_message(topic, payload, received_ms, receipt)
    if sparkplug.unsaved: sparkplug.save()       # before the births' receipts are released

Numbers of messages (0 to 255) are checked for each edge node; what is missing is counted and the
node is asked for its births, as it is when somebody speaks of whom no birth is known, and when it
is heard for the first time. Data are taken wherever their aliases are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from edge.block import Receipt
from edge.files import replace_file
from edge.inputs import sparkplug_file
from edge.inputs.result import Result
from edge.inputs.sparkplug_births import BadBirth, Birth, Names, Naming, Source, bd_seq, read_birth
from edge.inputs.sparkplug_message import PREFIX, Address, Message, address, without_nulls
from edge.inputs.sparkplug_node import Device, Node
from edge.registry import Registry
from edge.sparkplug.content import Content, read
from edge.sparkplug.decode import BadPayload, parse
from edge.sparkplug.encode import rebirth_command

log = structlog.get_logger()

# who makes up names would fill memory
_MAX_SOURCES = 20_000


class SparkplugInput:
    """The sessions of all edge nodes. One thread owns it."""

    def __init__(
        self,
        registry: Registry,
        publish: Callable[[str, bytes], None],
        folder: Path,
        naming: Naming = "metric",
    ) -> None:
        """Args: publish: sends a command. folder: for births.json. naming: of sensors."""
        self._registry, self._publish, self._folder = registry, publish, folder
        self._names = Names(naming)
        self._nodes: dict[tuple[str, str], Node] = {}
        self._addresses: dict[str, Address] = {}
        self._sources = 0
        self.unsaved = False
        # gaps, missing, rebirths, births, deaths, stale_deaths
        self.counts: Counter[str] = Counter()

    def load(self) -> None:
        """What births said before the last restart. A damaged file is logged and given up."""
        try:
            nodes = sparkplug_file.load(self._folder, self._registry)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            path = self._folder / sparkplug_file.FILE
            log.warning("births_unusable", path=str(path), error=str(error))
            self.counts["births_unusable"] += 1
            return
        for node in nodes:
            self._nodes[node.group, node.name] = node
            self._sources += 1 + len(node.devices)
            for device in node.devices.values():
                for birth in filter(None, (device.former, device.birth)):
                    self._names.adopt(device.source, birth)

    def save(self) -> None:
        """Put what births said on disk. Raises: OSError: it is not there."""
        data = sparkplug_file.encode(self._nodes.values())
        replace_file(self._folder / sparkplug_file.FILE, data)
        self.unsaved = False

    def on_message(
        self,
        topic: str,
        payload: bytes,
        received_ms: int,
        receipt: Receipt | None = None,
        redelivered: bool = False,
    ) -> Result:
        """What came of a message. Holds the receipt once.

        Args: received_ms: wall clock, UTC epoch ms. redelivered: the broker says that it may have
            come before.
        """
        if receipt is not None:
            receipt.hold()
        result = Result(receipt=receipt)
        found = self._addresses.get(topic) or self._address(topic)
        if not found.kind:
            self.counts["ignored"] += 1
            return result
        message = Message(topic, payload, received_ms, redelivered, receipt)
        try:
            self._handle(found, message, result)
        except BadPayload as bad:
            message.refuse(result, "bad_payload", str(bad))
        except BadBirth as bad:
            message.refuse(result, "bad_birth", str(bad))
        return result

    def _handle(self, found: Address, message: Message, result: Result) -> None:
        source = found.source
        node = self._nodes.get((source.group, source.node))
        unheard = node is None or source.device not in node.devices
        if unheard and self._sources >= _MAX_SOURCES:
            message.refuse(result, "too_many_sources", f"{_MAX_SOURCES} nodes and devices")
            return
        if node is None:
            self._sources += 1
            node = self._nodes[source.group, source.node] = Node(source.group, source.node)
        if found.kind in ("DDATA", "NDATA"):
            self._data(node, source, message, result)
        elif found.kind in ("NBIRTH", "DBIRTH"):
            self._birth(node, source, message, result)
        else:
            self._death(node, source, message)
        if not node.heard:
            node.heard = True
            if found.kind != "NBIRTH":
                self._ask(node, message.received_ms)

    # -- data

    def _data(self, node: Node, source: Source, message: Message, result: Result) -> None:
        device = node.devices.get(source.device)
        sent_ms = message.sent_ms() if message.redelivered else None
        decoder = None if device is None else device.decoder(sent_ms)
        if device is None or decoder is None:
            self._check(node, _seq(parse(message.payload)), message)
            message.refuse(result, "no_birth", f"{source} sent data, but no birth yet")
            self._ask(node, message.received_ms)
            return
        content = decoder.read(message.payload, message.received_ms)
        self._check(node, content.seq, message)
        result.blocks = message.blocks(content, device.label)
        if content.unknown or content.skipped or not device.alive:
            self._odd(node, device, content, message, result)

    def _odd(
        self, node: Node, device: Device, content: Content, message: Message, result: Result
    ) -> None:
        if content.unknown:
            detail = f"{device.label}: {content.unknown} metrics that no birth explains"
            message.refuse(result, "no_birth", detail)
        if content.skipped:
            detail = f"{device.label}: {content.skipped} metrics without a number as value"
            message.refuse(result, "no_number", detail)
        if content.unknown or not device.alive:
            self._ask(node, message.received_ms)

    def _check(self, node: Node, seq: int | None, message: Message) -> None:
        missing = node.missing(seq, message.redelivered)
        if missing:
            self.counts["gaps"] += 1
            self.counts["missing"] += missing
            log.warning("messages_missing", node=f"{node.group}/{node.name}", messages=missing)
            self._ask(node, message.received_ms)

    def _ask(self, node: Node, now_ms: int) -> None:
        """Ask a node for all its births, unless that was done just now."""
        if node.may_ask(now_ms):
            self.counts["rebirths"] += 1
            self._publish(f"{PREFIX}/{node.group}/NCMD/{node.name}", rebirth_command(now_ms))

    # -- births and deaths

    def _birth(self, node: Node, source: Source, message: Message, result: Result) -> None:
        self.counts["births"] += 1
        payload = parse(message.payload)
        if source.device:
            self._check(node, _seq(payload), message)
        else:
            node.restart(None if message.redelivered else _seq(payload))
        birth = read_birth(payload, source, self._names, self._registry)
        time_ms = payload.timestamp if payload.HasField("timestamp") else message.received_ms
        if source.device:
            self._install(node, source, birth, time_ms, message)
        elif self._begins(node, bd_seq(payload), time_ms, message):
            for device in node.devices.values():
                device.void()
            self._install(node, source, birth, time_ms, message)
        content = read(payload, birth.decoder.table, message.received_ms)
        result.blocks = message.blocks(without_nulls(content), str(source))
        lost = sum(s is not None and self._registry.find(s.name) is None for s in birth.sensors)
        if lost:
            message.refuse(result, "too_many_sensors", f"{source}: {lost} metrics have no slot")

    def _begins(self, node: Node, session: int | None, time_ms: int, message: Message) -> bool:
        """Whether an NBIRTH begins a session, and is not one that was known already."""
        if (session, time_ms) == (node.bd_seq, node.birth_ms):
            return False
        if message.redelivered and time_ms < node.birth_ms:
            return False
        node.bd_seq, node.birth_ms = session, time_ms
        return True

    def _install(
        self, node: Node, source: Source, birth: Birth, time_ms: int, message: Message
    ) -> None:
        known = node.devices.get(source.device)
        if known is None:
            self._sources += 1
        elif known.birth is not None:
            repeated = known.birth.entries == birth.entries and time_ms == known.since_ms
            if repeated or (message.redelivered and time_ms <= known.since_ms):
                return
        node.device(source.device).install(birth, time_ms)
        self.unsaved = True

    def _death(self, node: Node, source: Source, message: Message) -> None:
        """Nothing is made up for a device that died: that no readings come is the news."""
        payload = parse(message.payload)
        if source.device:
            self._check(node, _seq(payload), message)
            dead = [device for device in [node.devices.get(source.device)] if device]
        else:
            session = bd_seq(payload)
            if None not in (session, node.bd_seq) and session != node.bd_seq:
                self.counts["stale_deaths"] += 1
                return
            node.restart(None)
            dead = list(node.devices.values())
        self.counts["deaths"] += 1
        for device in dead:
            device.alive = False

    def _address(self, topic: str) -> Address:
        """Kept, as each topic comes again and again."""
        if len(self._addresses) >= 4 * _MAX_SOURCES:
            self._addresses.clear()
        return self._addresses.setdefault(topic, address(topic))


def _seq(payload: Any) -> int | None:
    return payload.seq if payload.HasField("seq") else None
