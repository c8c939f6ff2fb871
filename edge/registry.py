"""Which sensor is which slot: found by name, never moved, on disk before a batch uses it.

    registry = Registry.open(folder, "plant-07", "gw-1")
    slot = registry.slot(Sensor("pump-001.flow", unit="m3/h"))    # known, or the next free one
    registry.commit()                                            # a new version, synced to disk
    registry.version(3)                                           # the catalogue of that version

A version is the first so-and-so many sensors: later ones only add at the end, so one list and the
length of each version hold them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import RLock

import numpy as np

from edge.errors import EdgeError
from edge.files import replace_file
from udfs.catalogue import Catalogue

FILE = "catalogue.json"
FORMAT = "hardiot.edge-catalogue.v1"
# a device that makes up names would fill memory and the topic; two gateways hold more
MAX_SENSORS = 200_000


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a birth, a mapping or the catalogue file says of a sensor. `unit` is the one sent up."""

    name: str
    unit: str = ""
    kind: str = ""
    asset: str = ""
    low: float = -np.inf
    high: float = np.inf
    period_ms: int = 1000


class Registry:
    """The sensors of one gateway. Inputs ask for slots in their threads; the pipeline commits."""

    def __init__(self, facility: str, gateway: str, folder: Path) -> None:
        self.facility, self.gateway, self._folder = facility, gateway, folder
        self._sensors: list[Sensor] = []
        self._slots: dict[str, int] = {}
        self._lengths: list[int] = []  # of each version, from version 1
        self._lock = RLock()
        self._made: dict[int, Catalogue] = {}

    @classmethod
    def open(cls, folder: Path, facility: str, gateway: str) -> Registry:
        """The registry of a folder, empty when there is none yet.

        Raises: EdgeError: the file is damaged, or of another gateway. It is never guessed: with
            other slots every later reading would be taken for another sensor's.
        """
        registry = cls(facility, gateway, folder)
        path = folder / FILE
        if path.exists():
            registry._load(path)
        return registry

    def __len__(self) -> int:
        return len(self._sensors)

    def find(self, name: str) -> int | None:
        """The slot of a name, None when it has none."""
        return self._slots.get(name)

    def slot(self, sensor: Sensor) -> int | None:
        """The slot of a sensor, a new one for a new name; None when there are too many.

        What was said of a known name first stays: a slot means the same for ever.
        """
        with self._lock:
            known = self._slots.get(sensor.name)
            if known is not None or len(self._sensors) >= MAX_SENSORS:
                return known
            self._sensors.append(sensor)
            return self._slots.setdefault(sensor.name, len(self._sensors) - 1)

    def sensor(self, slot: int) -> Sensor:
        """What is known of a slot."""
        return self._sensors[slot]

    def sensors(self) -> tuple[Sensor, ...]:
        """All sensors by slot, those that are not committed yet too."""
        with self._lock:
            return tuple(self._sensors)

    @property
    def newest(self) -> int:
        """The newest version, 0 before the first."""
        return len(self._lengths)

    def commit(self) -> bool:
        """Make a version of the sensors that are new, on disk. Returns: whether there were any.

        Raises: OSError: the disk refused; no batch may use the new slots then.
        """
        with self._lock:
            if len(self._sensors) == (self._lengths[-1] if self._lengths else 0):
                return False
            lengths = [*self._lengths, len(self._sensors)]
            replace_file(self._folder / FILE, self._text(self._sensors, lengths))
            self._lengths = lengths
            return True

    def version(self, number: int) -> Catalogue:
        """The catalogue of a version from 1 to `newest`. Raises: IndexError: another number."""
        if not 0 < number <= len(self._lengths):
            raise IndexError(f"catalogue {number}; there are 1 to {len(self._lengths)}")
        made = self._made.get(number)
        if made is None:
            made = _catalogue(self, number, self._sensors[: self._lengths[number - 1]])
            self._made = {number: made}  # only the last one asked for is worth keeping
        return made

    def _text(self, sensors: Iterable[Sensor], lengths: list[int]) -> bytes:
        columns: dict[str, list[object]] = {name: [] for name in Sensor.__dataclass_fields__}
        for sensor in sensors:
            for name, value in asdict(sensor).items():
                columns[name].append(value)
        head = {"format": FORMAT, "facility": self.facility, "gateway": self.gateway}
        return json.dumps({**head, "versions": lengths, "sensors": columns}).encode()

    def _load(self, path: Path) -> None:
        try:
            data = json.loads(path.read_bytes())
            owner = (data["facility"], data["gateway"])
            columns, lengths = data["sensors"], data["versions"]
            rows = zip(*(columns[name] for name in Sensor.__dataclass_fields__), strict=True)
            self._sensors = [Sensor(*row) for row in rows]
            sound = data["format"] == FORMAT and lengths[-1:] == [len(self._sensors)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EdgeError(_damaged(path, str(error))) from None
        self._lengths = lengths
        self._slots = {sensor.name: slot for slot, sensor in enumerate(self._sensors)}
        if not sound or len(self._slots) != len(self._sensors):
            raise EdgeError(_damaged(path, "its parts do not fit together"))
        if owner != (self.facility, self.gateway):
            raise EdgeError(
                f"{path}: belongs to {owner[0]}/{owner[1]}, not {self.facility}/{self.gateway}; "
                "give each gateway a folder of its own"
            )


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path}: damaged ({why}); put back a copy, from a backup or from topic catalogue. "
        "To start over under new slots, move the whole spool folder away and give the gateway "
        "another name"
    )


def _catalogue(registry: Registry, number: int, sensors: list[Sensor]) -> Catalogue:
    return Catalogue(
        facility=registry.facility,
        gateway=registry.gateway,
        version=number,
        name=tuple(s.name for s in sensors),
        unit=tuple(s.unit for s in sensors),
        kind=tuple(s.kind for s in sensors),
        asset=tuple(s.asset for s in sensors),
        low=np.array([s.low for s in sensors]),
        high=np.array([s.high for s in sensors]),
        period_ms=np.array([s.period_ms for s in sensors], np.int32),
    )
