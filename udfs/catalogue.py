"""A gateway's catalogue: what each slot of its batches is.

One row a sensor; the row's number is the slot. A version never changes once it was published: new
sensors make a new version and get slots at the end, so a slot means the same for ever. A changed
asset type or tag makes a new version too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.arrow import body_is_plain, encode_stream, open_stream

CONTRACT = "hardiot.catalogue.v1"

# an asset type, or one tag
LABEL = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,62}")
# a device that makes up tags would fill the record of its gateway's catalogue
MAX_TAGS = 16


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The sensors of one gateway, n of them.

    name, unit, kind, asset: n texts each; kind is temperature, vibration, pressure, position, ...
    low, high: float64, shape (n,), valid range in the sensor's unit.
    period_ms: int32, shape (n,), sampling period.
    asset_type, tags: n texts each, as of `join_tags`; none given: all empty, which is unknown.
    """

    facility: str
    gateway: str
    version: int
    name: tuple[str, ...]
    unit: tuple[str, ...]
    kind: tuple[str, ...]
    asset: tuple[str, ...]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    period_ms: npt.NDArray[np.int32]
    asset_type: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _LATER:
            if not getattr(self, name):
                object.__setattr__(self, name, ("",) * len(self.name))
            elif len(getattr(self, name)) != len(self.name):
                raise ValueError(f"{len(getattr(self, name))} {name} of {len(self.name)} sensors")

    def __len__(self) -> int:
        return len(self.name)

    @property
    def key(self) -> str:
        """Key of the catalogue's record in the compacted topic `catalogue`."""
        return f"{self.facility}/{self.gateway}/{self.version}"

    def slots_of_kind(self, kind: str) -> npt.NDArray[np.intp]:
        """Slots of the sensors of one kind, ascending."""
        return np.flatnonzero(np.array(self.kind, dtype=object) == kind)


def join_tags(tags: Iterable[str]) -> str:
    """Tags as one text: each once, in order, with commas; what is no tag is left out.

    One text is what most sensors of an asset share, so whoever looks for a tag looks at few texts.
    """
    return ",".join(sorted({tag for tag in tags if LABEL.fullmatch(tag)})[:MAX_TAGS])


def label_of(text: str) -> str:
    """An asset type as a device says it; empty when it is none."""
    return text.lower() if LABEL.fullmatch(text.lower()) else ""


def split_tags(text: str) -> list[str]:
    """The tags in a text; spaces around them do not count."""
    return [tag for tag in map(str.strip, text.split(",")) if tag]


_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("asset", pa.string(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("period_ms", pa.int32(), nullable=False),
        pa.field("asset_type", pa.string(), nullable=False),
        pa.field("tags", pa.string(), nullable=False),
    ]
)
_LATER = ("asset_type", "tags")  # optional: catalogues of before do not have them
_TEXTS = ("name", "unit", "kind", "asset", *_LATER)


def encode(catalogue: Catalogue) -> bytes:
    """The catalogue as one Arrow IPC stream, header as schema metadata."""
    schema = _SCHEMA.with_metadata(
        {
            "contract": CONTRACT,
            "facility": catalogue.facility,
            "gateway": catalogue.gateway,
            "version": str(catalogue.version),
        }
    )
    arrays = [
        pa.array(getattr(catalogue, name), type=_SCHEMA.field(name).type) for name in _SCHEMA.names
    ]
    return encode_stream(schema, arrays)


def decode(data: bytes) -> Catalogue:
    """Read a catalogue. Raises: ValueError: not a catalogue of this version."""
    try:
        reader, header = open_stream(data, CONTRACT)
        table = _read_columns(data, reader)
        texts = {n: tuple(table[n].to_pylist()) for n in _TEXTS if n in table.schema.names}
        return Catalogue(
            facility=header["facility"],
            gateway=header["gateway"],
            version=int(header["version"]),
            **texts,
            low=table["low"].to_numpy(),
            high=table["high"].to_numpy(),
            period_ms=table["period_ms"].to_numpy(),
        )
    except (pa.ArrowException, ValueError, KeyError, OSError, StopIteration) as error:
        raise ValueError(f"not a catalogue: {error}") from None


def _read_columns(data: bytes, reader: pa.RecordBatchReader) -> pa.RecordBatch:
    """The columns that this contract knows, held against their types."""
    known = [f for f in _SCHEMA if f.name not in _LATER or f.name in reader.schema.names]
    names = [field.name for field in known]
    for field in known:
        found = reader.schema.field(field.name).type
        if found != field.type:
            raise ValueError(f"{field.name} is {found!s:.80}, not {field.type}")
    if not body_is_plain(data):
        raise ValueError("compressed body; compress the Kafka record instead")
    record = reader.read_next_batch().select(names)
    record.validate(full=True)
    if any(record[name].null_count for name in names):
        raise ValueError("a column has nulls")
    return record
