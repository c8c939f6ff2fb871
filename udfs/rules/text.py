"""The texts of a rule: which placeholders there are, and the check of a text that names them."""

from __future__ import annotations

from collections.abc import Mapping

from udfs.rules.base import mistake
from udfs.wording import hint, placeholders, render

Example = Mapping[str, str | float]

# What a text may name, with a value of each.
EXAMPLE: Example = {
    "sensor": "pump-001.bearing-temperature",
    "asset": "pump-001",
    "facility": "plant-0001",
    "gateway": "gw-1",
    "kind": "temperature",
    "unit": "°C",
    "value": 96.5,
    "limit": 90.0,
    "duration_s": 5.0,
    "rule": "temperature-high",
    "severity": "warning",
}
PLACEHOLDERS = tuple(EXAMPLE)

# A pattern is about an asset and several sensors: there is no one value, unit or limit.
_OF_SENSORS = ("sensor", "kind", "unit", "value", "limit")
PATTERN_EXAMPLE: Example = {
    **{name: value for name, value in EXAMPLE.items() if name not in _OF_SENSORS},
    "count": 3,
}


def check_text(text: str, of_pattern: bool = False) -> str:
    """The text itself, if it can be filled. Raises: PydanticCustomError: a mistake of its author.

    Args: of_pattern: whether the rule has a pattern instead of a condition.
    """
    known = PATTERN_EXAMPLE if of_pattern else EXAMPLE
    try:
        names = placeholders(text)
    except ValueError as error:
        raise mistake(f"text: {error}", "write {{ and }} for braces") from None
    for name in names:
        if name in known:
            continue
        if of_pattern and name in EXAMPLE:
            raise mistake(f'"{{{name}}}" in the text of a pattern', hint("", known))
        raise mistake(f'unknown placeholder "{{{name}}}"', hint(name, known))
    try:
        render(text, known)
    except (ValueError, LookupError, AttributeError) as error:
        raise mistake(f"text: {error}", "formats are as in {value:.1f}") from None
    return text
