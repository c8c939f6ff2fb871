"""births.json: what births said, so that data without one can be read after a restart.

Data that were not acknowledged come again to a new process, their birth may not. The file is one
line: CRC32C of the JSON, a space, the JSON. A damaged one is given up: births are asked for anyway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import google_crc32c

from edge.inputs.sparkplug_births import Birth
from edge.inputs.sparkplug_node import Node
from edge.registry import Registry, Sensor
from edge.sparkplug.decode import Decoder
from edge.sparkplug.table import NO_SLOT, Entry, Table

FILE = "births.json"
FORMAT = "hardiot.edge-births.v1"
_columns = attrgetter(*(field.name for field in fields(Sensor)))


def encode(nodes: Iterable[Node]) -> bytes:
    """The content of the file."""
    data = {"format": FORMAT, "nodes": [_node(node) for node in nodes]}
    text = json.dumps(data, separators=(",", ":")).encode()
    return f"{google_crc32c.value(text):08x} ".encode() + text


def load(folder: Path, registry: Registry) -> list[Node]:
    """What the file holds, nothing when there is none yet; sensors get their slots back.

    Raises: ValueError: it is damaged. OSError: it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return []
    checksum, _, text = path.read_bytes().partition(b" ")
    if int(checksum, 16) != google_crc32c.value(text):
        raise ValueError("its checksum is wrong")
    data = json.loads(text)
    if data.get("format") != FORMAT:
        raise ValueError(f"format {data.get('format')}; this program knows {FORMAT}")
    return [_read_node(row, registry) for row in data["nodes"]]


def _node(node: Node) -> dict[str, Any]:
    devices = [
        [device.source.device, device.since_ms, _birth(device.former), _birth(device.birth)]
        for device in node.devices.values()
    ]
    head = {"group": node.group, "node": node.name, "bd_seq": node.bd_seq}
    return {**head, "birth_ms": node.birth_ms, "devices": devices}


def _birth(birth: Birth | None) -> list[list[Any]] | None:
    if birth is None:
        return None
    return [
        [entry.name, entry.alias, entry.datatype, entry.period_ms, sensor and _columns(sensor)]
        for entry, sensor in zip(birth.entries, birth.sensors, strict=True)
    ]


def _read_node(row: dict[str, Any], registry: Registry) -> Node:
    node = Node(row["group"], row["node"], row["bd_seq"], row["birth_ms"])
    for name, since_ms, former, birth in row["devices"]:
        device = node.device(name)
        device.since_ms = since_ms
        device.former = _read_birth(former, registry)
        device.birth = _read_birth(birth, registry)  # second: its units are the valid ones
    return node


def _read_birth(rows: list[list[Any]] | None, registry: Registry) -> Birth | None:
    if rows is None:
        return None
    entries, sensors = [], []
    for name, alias, datatype, period_ms, columns in rows:
        sensor = None if columns is None else Sensor(*columns)
        slot = None if sensor is None else registry.slot(sensor)
        entries.append(Entry(name, alias, datatype, NO_SLOT if slot is None else slot, period_ms))
        sensors.append(sensor)
    return Birth(Decoder(Table(entries)), tuple(sensors))
