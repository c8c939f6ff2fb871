"""Which sensor is which slot: found by name, never moved, on disk before a batch uses it.

    registry = Registry.open(folder, "plant-07", "gw-1")
    slot = registry.slot(Sensor("pump-001.flow", unit="m3/h"))    # known, or the next free one
    registry.commit()                                            # a new version, synced to disk
    registry.version(3)                                           # the catalogue of that version

A version is the first so-and-so many sensors: later ones only add at the end, so one list and the
length of each version hold them all. Only asset type and tags of a sensor may change; what earlier
versions have is kept beside. The file has a checksum and a copy: it is never guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock

import google_crc32c
import numpy as np
import structlog

from edge import labels
from edge.errors import EdgeError
from edge.files import replace_file
from edge.labels import Former, LabelHistory, Labels
from udfs.catalogue import Catalogue

log = structlog.get_logger()

FILE = "catalogue.json"
COPY = "catalogue.copy.json"
FORMAT = "hardiot.edge-catalogue.v1"
# a device that makes up names would fill memory and the topic; two gateways hold more
MAX_SENSORS = 200_000


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a birth, a mapping or the catalogue file says of a sensor. tags: as of `join_tags`."""

    name: str
    unit: str = ""
    kind: str = ""
    asset: str = ""
    low: float = -np.inf
    high: float = np.inf
    period_ms: int = 1000
    asset_type: str = ""
    tags: str = ""

    @property
    def labels(self) -> Labels:
        """What may change while the slot stays."""
        return (self.asset_type, self.tags)


class Registry:
    """The sensors of one gateway. Inputs ask for slots in their threads; the pipeline commits.

    complete: what the catalogue file adds to, or puts in the place of, what a device says.
    """

    def __init__(
        self,
        facility: str,
        gateway: str,
        folder: Path,
        complete: Callable[[Sensor], Sensor] = lambda sensor: sensor,
    ) -> None:
        self.facility, self.gateway, self._folder = facility, gateway, folder
        self._complete = complete
        self._sensors: list[Sensor] = []
        self._slots: dict[str, int] = {}
        self._lengths: list[int] = []  # of each version, from version 1
        self._reported: dict[int, str] = {}  # slot -> unit of its device, where that is another one
        self._labels = LabelHistory()
        self._changed = False
        self._lock = RLock()
        self._made: dict[int, Catalogue] = {}

    @classmethod
    def open(
        cls,
        folder: Path,
        facility: str,
        gateway: str,
        complete: Callable[[Sensor], Sensor] = lambda sensor: sensor,
    ) -> Registry:
        """The registry of a folder, empty when there is none yet.

        Raises: EdgeError: file and copy are damaged, or are of another gateway. With other slots
            every later reading would be taken for another sensor's.
        """
        registry = cls(facility, gateway, folder, complete)
        damages: list[str] = []
        for path in (folder / FILE, folder / COPY):
            if path.exists():
                try:
                    registry._load(path)
                    registry._note_damages(damages)
                    return registry
                except _Damaged as damaged:
                    damages.append(f"{path}: damaged ({damaged})")
        if damages:
            raise EdgeError("\n".join([*damages, _ADVICE]))
        return registry

    def _note_damages(self, damages: list[str]) -> None:
        """The copy is as good as the file; both are written again with the next batch."""
        for damage in damages:
            log.warning("catalogue_damaged", error=damage, used=COPY)
            self._changed = True

    def __len__(self) -> int:
        return len(self._sensors)

    def find(self, name: str) -> int | None:
        """The slot of a name, None when it has none."""
        return self._slots.get(name)

    def slot(self, sensor: Sensor) -> int | None:
        """The slot of a sensor, a new one for a new name; None when there are too many.

        What was said of a known name first stays: a slot means the same for ever. Only asset type
        and tags may change, and the unit in which its device reports (`reported_units`).
        """
        with self._lock:
            slot = self._slots.get(sensor.name)
            if slot is None:
                if len(self._sensors) >= MAX_SENSORS:
                    return None
                slot = self._slots[sensor.name] = len(self._sensors)
                self._sensors.append(self._complete(sensor))
            else:
                self._note_labels(slot, self._complete(sensor).labels)
            self._note_unit(slot, sensor.unit)
            return slot

    def reported_units(self) -> dict[int, str]:
        """Slots whose device reports in another unit than the catalogue has, and that unit."""
        with self._lock:
            return dict(self._reported)

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
        """Make a version of what is new or labelled anew, on disk. Returns: whether there was any.

        Raises: OSError: the disk refused; no batch may use the new slots then.
        """
        with self._lock:
            made = len(self._sensors) > self._committed or self._labels.changed
            if not made and not self._changed:
                return False
            lengths = [*self._lengths, len(self._sensors)] if made else self._lengths
            former = self._labels.after(self.newest)
            text = self._text(lengths, former)
            replace_file(self._folder / FILE, text)
            replace_file(self._folder / COPY, text)
            self._lengths, self._changed = lengths, False
            self._labels.commit(former, lengths)
            return made

    def version(self, number: int) -> Catalogue:
        """The catalogue of a version from 1 to `newest`. Raises: IndexError: another number."""
        if not 0 < number <= len(self._lengths):
            raise IndexError(f"catalogue {number}; there are 1 to {len(self._lengths)}")
        made = self._made.get(number)
        if made is None:
            with self._lock:
                made = _catalogue(self, number, self._sensors_of(number))
            self._made = {number: made}  # only the last one asked for is worth keeping
        return made

    @property
    def _committed(self) -> int:
        return self._lengths[-1] if self._lengths else 0

    def _sensors_of(self, number: int) -> list[Sensor]:
        """The sensors as a version has them."""
        sensors = self._sensors[: self._lengths[number - 1]]
        for slot, then in self._labels.of(number, self.newest):
            if slot < len(sensors):
                sensors[slot] = _labelled(sensors[slot], then)
        return sensors

    def _note_labels(self, slot: int, said: Labels) -> None:
        """Take what is said of a known sensor; what counts in the end is what is committed."""
        sensor = self._sensors[slot]
        if said == sensor.labels:
            return
        if slot >= self._committed or self._labels.note(slot, sensor.labels, said):
            self._sensors[slot] = _labelled(sensor, said)

    def _note_unit(self, slot: int, unit: str) -> None:
        own = self._sensors[slot].unit
        reported = unit if unit and own and unit != own else None
        if reported == self._reported.get(slot):
            return
        self._changed = True
        if reported is None:
            del self._reported[slot]
        else:
            self._reported[slot] = reported

    def _text(self, lengths: list[int], former: Former) -> bytes:
        columns: dict[str, list[object]] = {
            name: [getattr(sensor, name) for sensor in self._sensors]
            for name in Sensor.__dataclass_fields__
        }
        head = {"format": FORMAT, "facility": self.facility, "gateway": self.gateway}
        body = {"versions": lengths, "sensors": columns, "reported": list(self._reported.items())}
        body["former"] = labels.to_plain(former)
        text = json.dumps(head | body)
        return f"{google_crc32c.value(text.encode()):08x} {text}".encode()

    def _load(self, path: Path) -> None:
        try:
            checksum, _, text = path.read_bytes().partition(b" ")
            if int(checksum, 16) != google_crc32c.value(text):
                raise _Damaged("its checksum is wrong")
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise _Damaged(f"format {data['format']}")
            columns = data["sensors"]
            # files of before have no asset types and tags
            known = [name for name in Sensor.__dataclass_fields__ if name in columns]
            rows = zip(*(columns[name] for name in known), strict=True)
            sensors = [Sensor(**dict(zip(known, row, strict=True))) for row in rows]
            reported = {int(slot): str(unit) for slot, unit in data["reported"]}
            former = labels.from_plain(data.get("former", ()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _Damaged(str(error)) from None
        owner = (data["facility"], data["gateway"])
        if owner != (self.facility, self.gateway):
            raise EdgeError(
                f"{path}: belongs to {owner[0]}/{owner[1]}, not {self.facility}/{self.gateway}; "
                "give each gateway a folder of its own"
            )
        self._sensors, self._lengths, self._reported = sensors, data["versions"], reported
        self._labels.commit(former, self._lengths)
        self._slots = {sensor.name: slot for slot, sensor in enumerate(sensors)}


class _Damaged(Exception):
    """A file that is not as it was written."""


_ADVICE = (
    "put back a copy, from a backup or from topic catalogue; to start over under new slots, move "
    "the whole folder away and give the gateway another name"
)


def _labelled(sensor: Sensor, said: Labels) -> Sensor:
    return replace(sensor, asset_type=said[0], tags=said[1])


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
        asset_type=tuple(s.asset_type for s in sensors),
        tags=tuple(s.tags for s in sensors),
    )
