"""Line protocol read back, character by character, as its documentation says."""

from __future__ import annotations

from tests.influx.plant import Stored


def parse(text: str) -> Stored:
    """All points of some lines."""
    found: Stored = {}
    assert text.endswith("\n") or not text
    for line in text.split("\n")[:-1]:
        head, fields, second = _cut(line, " ")
        measurement, *tags = _cut(head, ",")
        pairs = tuple((k, _plain(v)) for k, v in (_cut(tag, "=") for tag in tags))
        key = (measurement, pairs, int(second))
        assert key not in found, f"two points in one place: {key}"
        found[key] = dict(_field(item) for item in fields.split(","))
    return found


def _cut(text: str, at: str) -> list[str]:
    """Parts between delimiters that no backslash stands before."""
    parts, begin, place = [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] == at:
            parts.append(text[begin:place])
            begin = place + 1
        place += 1
    return [*parts, text[begin:]]


def _plain(text: str) -> str:
    for special in ", =":
        text = text.replace(f"\\{special}", special)
    return text


def _field(text: str) -> tuple[str, float | int | bool]:
    name, value = text.split("=")
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value[:-1]) if value.endswith("i") else float(value)
