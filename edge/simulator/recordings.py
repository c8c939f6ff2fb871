"""Real recordings, played on sensors of the fleet at real or faster speed.

A recording is a folder with `recording.yaml` (what each column is) and a CSV file, plain or .gz,
with a column `timestamp`. A row is read in the tick in which its time falls; a tick without a row,
and an empty field, leave the sensor out of the batch. So gaps of the plant stay gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as csv
from pydantic import Field

from edge.documents import Model, read_document
from edge.errors import EdgeError
from edge.simulator.faults import Seconds
from udfs.catalogue import Catalogue

SHIPPED = Path(__file__).parent / "recordings"

Floats = npt.NDArray[np.float64]


class Column(Model):
    """What one column of a recording measures: value in `unit` = raw x scale + shift."""

    sensor: str = Field(description="Sensor name under an asset that it is played on by default.")
    unit: str = Field(description="Unit after scaling; the played sensor must have the same.")
    scale: float = Field(default=1.0, allow_inf_nan=False)
    shift: float = Field(default=0.0, allow_inf_nan=False)


class Manifest(Model):
    """`recording.yaml`."""

    title: str = Field(min_length=1, description="What was recorded, in one sentence.")
    file: str = Field(description="CSV file in the same folder.")
    columns: dict[str, Column] = Field(min_length=1, description="Columns to play.")


class Play(Model):
    """A recording on the sensors of one asset."""

    recording: str = Field(description="Name of a shipped recording, or path of a folder.")
    facility: str = Field(default="plant-0001", description="Facility to play it in.")
    gateway: str = Field(default="gw-1", description="Gateway to play it on.")
    asset: str = Field(description="Asset whose sensors show it, as well-001.")
    sensors: dict[str, str] = Field(
        default_factory=dict,
        description="Column to sensor name under the asset, where not default.",
    )
    speed: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        default=1, description="Recorded seconds a second of event time."
    )
    from_s: Seconds = Field(
        default=0, description="When it begins, in seconds after the first tick."
    )
    repeat: bool = Field(
        default=True, description="Start again at the end; else the sensors fall silent."
    )


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows of a recording, n of them, c columns.

    time_ms: since its first row, shape (n,), ascending. value: shape (n, c), NaN where missing.
    """

    manifest: Manifest
    time_ms: Floats
    value: Floats


def read_recording(name: str) -> Recording:
    """A shipped recording by name, or one in a folder by path.

    Raises: EdgeError: all mistakes of the manifest, or all mistakes of the file.
    """
    folder = SHIPPED / name if (SHIPPED / name).is_dir() else Path(name)
    if not (folder / "recording.yaml").is_file():
        shipped = ", ".join(sorted(path.parent.name for path in SHIPPED.glob("*/recording.yaml")))
        raise EdgeError(f'recording "{name}": no such folder; shipped are {shipped}')
    manifest = read_document(folder / "recording.yaml", Manifest)
    path = folder / manifest.file
    table = _read_table(path)
    mistakes = _mistakes(table, manifest)
    if mistakes:
        raise EdgeError("\n".join(f"{path}: {mistake}" for mistake in mistakes))
    return Recording(manifest, _time_ms(table), _values(table, manifest))


def _read_table(path: Path) -> pa.Table:
    options = csv.ConvertOptions(column_types={"timestamp": pa.timestamp("ms")})
    try:
        return csv.read_csv(path, convert_options=options)
    except (OSError, pa.ArrowException) as error:
        raise EdgeError(f"{path}: not a readable CSV file: {error}") from None


def _mistakes(table: pa.Table, manifest: Manifest) -> list[str]:
    if "timestamp" not in table.column_names:
        return ["there is no column timestamp"]
    found = [f"there is no column {c}" for c in manifest.columns if c not in table.column_names]
    for column in set(manifest.columns).intersection(table.column_names):
        kind = table.schema.field(column).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            found.append(f"column {column} holds {kind}, not numbers")
    if table.num_rows < 2:
        return [*found, f"{table.num_rows} rows; at least 2 are needed"]
    if table["timestamp"].null_count:
        return [*found, "column timestamp has empty fields"]
    behind = np.flatnonzero(np.diff(_time_ms(table)) <= 0)
    if len(behind):
        found.append(f"row {behind[0] + 2}: timestamp does not ascend")
    return sorted(found)


def _time_ms(table: pa.Table) -> Floats:
    time = table["timestamp"].to_numpy().astype("datetime64[ms]").astype(np.float64)
    first: Floats = time - time[0]
    return first


def _values(table: pa.Table, manifest: Manifest) -> Floats:
    parts = [
        table[name].cast(pa.float64()).to_numpy() * column.scale + column.shift
        for name, column in manifest.columns.items()
    ]
    return np.column_stack(parts).astype(np.float64)


@dataclass(frozen=True, slots=True)
class PlacedRecording:
    """A recording on c slots of one gateway.

    slots: shape (c,), ascending. value: shape (n, c), in the order of `slots`.
    length_ms: after which it starts again, or None.
    """

    slots: npt.NDArray[np.uint32]
    time_ms: Floats
    value: Floats
    begin_ms: float
    speed: float
    length_ms: float | None

    def at(self, elapsed_ms: int, tick_ms: int) -> Floats | None:
        """What was recorded in a tick, shape (c,), NaN where nothing; None before it begins."""
        begin = (elapsed_ms - self.begin_ms) * self.speed
        if begin < 0:
            return None
        if self.length_ms is not None:
            begin %= self.length_ms
        row = int(np.searchsorted(self.time_ms, begin + tick_ms * self.speed, "left")) - 1
        if self.time_ms[row] < begin:
            return np.full(len(self.slots), np.nan)
        recorded: Floats = self.value[row]
        return recorded


def place_recording(
    play: Play, recording: Recording, catalogue: Catalogue, tick_ms: int
) -> PlacedRecording:
    """The recording on its slots.

    Raises: EdgeError: every column whose sensor does not exist, has another unit or a period
        shorter than the tick.
    """
    columns = recording.manifest.columns
    names = [f"{play.asset}.{play.sensors.get(c, columns[c].sensor)}" for c in columns]
    mistakes = [f"no column {column}" for column in play.sensors if column not in columns]
    for name, column in zip(names, columns.values(), strict=True):
        mistakes += _misfits(name, column, catalogue, tick_ms)
    if mistakes:
        where = f'recording "{play.recording}" on {catalogue.facility}/{catalogue.gateway}'
        raise EdgeError("\n".join(f"{where}: {mistake}" for mistake in mistakes))
    slots = np.array([catalogue.name.index(name) for name in names], np.uint32)
    order = np.argsort(slots)
    step_ms = float(np.median(np.diff(recording.time_ms)))
    return PlacedRecording(
        slots=slots[order],
        time_ms=recording.time_ms,
        value=recording.value[:, order],
        begin_ms=play.from_s * 1000,
        speed=play.speed,
        length_ms=float(recording.time_ms[-1]) + step_ms if play.repeat else None,
    )


def _misfits(name: str, column: Column, catalogue: Catalogue, tick_ms: int) -> list[str]:
    if name not in catalogue.name:
        return [f"there is no sensor {name}; does the facility have enough sensors?"]
    slot = catalogue.name.index(name)
    found = []
    if catalogue.unit[slot] != column.unit:
        found.append(f"{name} is in {catalogue.unit[slot]}, the recording in {column.unit}")
    if catalogue.period_ms[slot] < tick_ms:
        found.append(f"{name} has several readings in a tick; a recording has one")
    return found
