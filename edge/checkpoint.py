"""What filters and rules remember, beside the spool: a snapshot to which the spool is the journal.

One file, replaced as a whole. It may be missing or damaged at any start: then the gateway begins
with the last records of the spool, and says so; nothing but memory of the past is lost.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import google_crc32c

from edge.files import replace_file
from udfs.state import BadState, pack, unpack

FILE = "checkpoint"
_KIND, _VERSION = "edge_checkpoint", 1
_PREFIX = struct.Struct("<II")  # CRC32C of the rest, its length


def save(folder: Path, index: int, fields: dict[str, Any]) -> None:
    """Replace the checkpoint. `index` is that of the last raw record which it covers.

    Raises: OSError: the disk refused; the old one is still there.
    """
    data = pack(_KIND, _VERSION, {"index": index, **fields})
    replace_file(folder / FILE, _PREFIX.pack(google_crc32c.value(data), len(data)) + data)


def load(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Index and fields of the checkpoint, None when there is none.

    Raises: BadState: it is damaged, or was written by a later version.
    """
    try:
        raw = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return None
    data = raw[_PREFIX.size :]
    if len(raw) < _PREFIX.size or _PREFIX.unpack_from(raw) != (
        google_crc32c.value(data),
        len(data),
    ):
        raise BadState("damaged checkpoint: its checksum is wrong")
    version, fields = unpack(data, _KIND)
    if version > _VERSION:
        raise BadState(f"checkpoint version {version}; this gateway knows up to {_VERSION}")
    return int(fields.pop("index")), fields
