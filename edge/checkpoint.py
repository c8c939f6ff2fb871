"""What filters and rules remember, beside the spool: a snapshot to which the spool is the journal.

One file, replaced as a whole. It may be missing or damaged at any start: then the gateway begins
with the last records of the spool, and says so; nothing but memory of the past is lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.files import replace_file, seal, unseal
from udfs.state import BadState, pack, unpack

FILE = "checkpoint"
_KIND, _VERSION = "edge_checkpoint", 1


def save(folder: Path, index: int, fields: dict[str, Any]) -> None:
    """Replace the checkpoint. `index` is that of the last raw record which it covers.

    Raises: OSError: the disk refused; the old one is still there.
    """
    data = pack(_KIND, _VERSION, {"index": index, **fields})
    replace_file(folder / FILE, seal(data))


def load(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Index and fields of the checkpoint, None when there is none.

    Raises: BadState: it is damaged, or was written by a later version.
    """
    try:
        data = unseal((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise BadState(f"damaged checkpoint: {error}") from None
    version, fields = unpack(data, _KIND)
    if version > _VERSION:
        raise BadState(f"checkpoint version {version}; this gateway knows up to {_VERSION}")
    return int(fields.pop("index")), fields
