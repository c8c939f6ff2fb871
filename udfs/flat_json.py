"""A flat dataclass as one JSON object: fields are texts, numbers and truth values, nothing nested.

data = encode(event)
event = decode(data, ConditionEvent, "a condition event")
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

_PYTHON: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float | None": (float, int, type(None)),
}


def encode(item: Any) -> bytes:
    """One JSON object, keys in the order of the fields. Raises: ValueError: a NaN or infinity."""
    return json.dumps(asdict(item), allow_nan=False, ensure_ascii=False).encode()


def decode(data: bytes, model: type[T], what: str) -> T:
    """Read an item; keys of a later version are ignored.

    Raises: ValueError: "not <what>: ...": not JSON, or a field is missing or of the wrong type.
    """
    try:
        values = json.loads(data)
        known = {name: values[name] for name in _types(model) if name in values}
        for name, value in known.items():
            kind = _types(model)[name]
            # True is an int to Python
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{name} is {value!r}")
        return model(**known)
    except (TypeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"not {what}: {error}") from None


@lru_cache(maxsize=16)
def _types(model: Any) -> dict[str, Any]:
    return {field.name: _PYTHON[str(field.type)] for field in fields(model)}
