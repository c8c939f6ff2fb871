"""Reference page of the gateway's settings, which have sections inside sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from jobs.common.reference import FOLDER, NOTICE, Pages, default_of, page, table, type_of

_HEAD = ("setting", "default", "type", "meaning")


def edge_page(files: Mapping[str, type[BaseModel]]) -> Pages:
    """Settings by file, as `mqtt.tls.ca`; a list's are told once, as `opcua[].url`."""
    blocks = [
        "# Settings of a gateway",
        NOTICE,
        "`python -m edge SETTINGS.yaml --check` says what is wrong in them, each with its line. "
        "Samples: `infra/edge/gateway.sample.yaml`, `flink-conf/edge/`.",
    ]
    for title, model in files.items():
        schema = model.model_json_schema()
        blocks += [f"## {title}", table(_HEAD, _rows(schema, schema.get("$defs", {}), ""))]
    return {f"{FOLDER}/edge-settings.md": page(blocks)}


def _rows(
    schema: Mapping[str, Any], known: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, ...]]:
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        inner, suffix = _inner(field, known)
        if inner is None:
            shown = "required" if name in required else default_of(field.get("default"))
            yield f"`{prefix}{name}`", shown, type_of(field), field.get("description", "")
        else:
            yield from _rows(inner, known, f"{prefix}{name}{suffix}.")


def _inner(field: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[Any, str]:
    """The section that a field is, or that its list holds; None for a plain field."""
    for choice in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        reference = choice.get("$ref") or choice.get("items", {}).get("$ref")
        found = known.get(str(reference).rpartition("/")[2])
        if found is not None and "properties" in found:
            return found, "[]" if "items" in choice else ""
    return None, ""
