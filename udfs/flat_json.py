"""A flat dataclass as one JSON object: fields are texts, numbers and truth values, nothing nested.

data = encode(event)
event = decode(data, ConditionEvent, "a condition event")
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from functools import cache
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
    # dataclasses.asdict copies what it finds, which takes longer than all the rest
    return _ENCODER.encode({name: getattr(item, name) for name in _kinds(item.__class__)}).encode()


def decode(data: bytes, model: Callable[..., T], what: str) -> T:
    """Read an item; keys of a later version are ignored.

    Raises: ValueError: "not <what>: ...": not JSON, or a field is missing or of the wrong type.
    """
    try:
        values, kinds = json.loads(data), _kinds(model)
        known = {name: values[name] for name in kinds if name in values}
        for name, value in known.items():
            # True is an int to Python
            if not isinstance(value, kinds[name]) or (
                isinstance(value, bool) and kinds[name] is not bool
            ):
                raise ValueError(f"{name} is {value!r}")
        return model(**known)
    except (TypeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"not {what}: {error}") from None


_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False)


@cache
def _kinds(model: Any) -> dict[str, Any]:
    return {field.name: _PYTHON[str(field.type)] for field in fields(model)}
