"""Reference pages made from what they describe: contracts, topics, metrics, settings, commands.

    made = pages() | settings_page({"rollup_readings": Settings}) | cli_page(command)
    write(made)                 # into docs/reference
    check(made)                 # paths of pages that are not as they should be

Every page is a dictionary entry, path from the root to Markdown text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from jobs.common.contracts import (
    ROOT,
    Contract,
    Key,
    Metric,
    Topic,
    load_contracts,
    load_metrics,
    load_topics,
)

FOLDER = "docs/reference"
NOTICE = "<!-- Generated, don't edit; run `hardiot docs`. -->"

Pages = dict[str, str]


def pages() -> Pages:
    """The pages that are made from data of infra/. Raises: ContractsError."""
    return {
        f"{FOLDER}/contracts.md": contracts_page(load_contracts().values()),
        f"{FOLDER}/metrics.md": metrics_page(load_metrics()),
        f"{FOLDER}/topics.md": topics_page(load_topics()),
    }


def write(made: Mapping[str, str], root: Path = ROOT) -> None:
    """Write the pages, each to its path under `root`."""
    for path, text in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def check(made: Mapping[str, str], root: Path = ROOT) -> list[str]:
    """Paths of pages that are missing or differ from what they should be, sorted."""
    return sorted(path for path, text in made.items() if _text_of(root / path) != text)


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def contracts_page(contracts: Iterable[Contract]) -> str:
    """Every contract with its columns, keys, limits and reasons."""
    blocks = [
        "# Contracts",
        NOTICE,
        "What the records of each topic look like, from `infra/contracts/`.",
    ]
    for contract in contracts:
        blocks += _contract(contract)
    return page(blocks)


def _contract(contract: Contract) -> Iterator[str]:
    yield f"## {contract.title}"
    code = f" Code: {_codes(contract.code)}." if contract.code else ""
    yield f"`{contract.contract}`, {contract.format}.{code}"
    yield from (contract.summary, contract.evolution)
    if contract.columns:
        rows = [
            (f"`{c.name}`", c.type, c.unit, "never absent" if c.default is None else c.default,
             c.description)
            for c in contract.columns
        ]  # fmt: skip
        yield "### Columns"
        yield table(("column", "type", "unit", "absent means", "meaning"), rows)
    yield from _keys("Header (Arrow schema metadata, all as text)", contract.header)
    yield from _keys("Kafka headers", contract.record_headers)
    yield from _keys("Fields", contract.fields_)
    if contract.limits:
        limits = [(f"`{x.name}`", f"{x.value:,} {x.unit}", x.description) for x in contract.limits]
        yield "### Limits"
        yield table(("limit", "value", "meaning"), limits)
    if contract.reasons:
        reasons = [(f"`{x.reason}`", x.meaning, x.action) for x in contract.reasons]
        yield "### Reasons of refusal"
        yield table(("reason", "meaning", "what to do"), reasons)


def _keys(title: str, keys: Sequence[Key]) -> Iterator[str]:
    if keys:
        rows = [
            (f"`{key.name}`", key.type, key.unit, "yes" if key.required else "no", key.description)
            for key in keys
        ]
        yield f"### {title}"
        yield table(("key", "type", "unit", "required", "meaning"), rows)


def topics_page(topics: Iterable[Topic]) -> str:
    """Every topic with its owner, contract and settings."""
    topics = tuple(topics)
    blocks = [
        "# Topics",
        NOTICE,
        "From `infra/contracts/topics.yaml`. `<facility>` stands for one topic a facility. Every "
        "topic has `message.timestamp.type=LogAppendTime`.",
        table(
            ("topic", "contract", "key", "partitions", "kept", "largest record", "compression"),
            [
                (f"`{t.name}`", f"`{t.contract}`", t.key, str(t.partitions), _kept(t),
                 f"{t.max_message_bytes / 2**20:g} MiB", t.compression)
                for t in topics
            ],
        ),
    ]  # fmt: skip
    for topic in topics:
        readers = ", ".join(topic.readers)
        who = f"Owner: {topic.owner}. Written by: {topic.writer}. Read by: {readers}."
        blocks += [f"## {topic.name}", who, topic.why]
    return page(blocks)


def _kept(topic: Topic) -> str:
    if topic.retention_h is None:
        return "the newest of each key, for ever"
    days, hours = divmod(topic.retention_h, 24)
    return f"{topic.retention_h} h" if hours or days < 3 else f"{days} days"


def metrics_page(metrics: Iterable[Metric]) -> str:
    """Every metric that rules and dashboards use."""
    rows = [(f"`{m.name}`", m.type, m.unit, _codes(m.labels), m.meaning) for m in metrics]
    return page([
        "# Metrics",
        NOTICE,
        "As Prometheus sees them, from `infra/observability/metrics.yaml`. Flink exports counters "
        "as gauges that begin at 0 after a restart; `rate` and `increase` handle that.",
        table(("metric", "type", "unit", "labels", "meaning"), rows),
    ])  # fmt: skip


def settings_page(
    jobs: Mapping[str, type[BaseModel]], parts: Mapping[str, type[BaseModel]] | None = None
) -> Pages:
    """The settings of each job, by its name; those that all have alike are told once.

    Args: parts: what is set in the same way and is no job.
    """
    rows = {job: dict(_settings(model)) for job, model in jobs.items()}
    common = _common(list(rows.values()))
    blocks = [
        "# Settings",
        NOTICE,
        "Flags win over the environment, that over `flink-conf/jobs/<job>.yaml`, that over the "
        "default. In the environment a setting is `HARDIOT__<SETTING>` for every job, or "
        "`HARDIOT__<JOB>__<SETTING>` for one; as a flag, `discovery_s` is `--discovery-s`.",
    ]
    head = ("setting", "default", "type", "meaning")
    if common:
        blocks += ["## All jobs", table(head, common)]
    for job, found in rows.items():
        own = [row for row in found.values() if row not in common]
        blocks += [f"## {job}", table(head, own) if own else "No settings of its own."]
    for part, model in (parts or {}).items():
        place = f"`flink-conf/jobs/{part}.yaml` or `HARDIOT__{part.upper()}__<SETTING>`"
        blocks += [f"## {part}", f"Not a job; what uses it reads {place}, and no flags."]
        blocks.append(table(head, list(dict(_settings(model)).values())))
    return {f"{FOLDER}/settings.md": page(blocks)}


def _common(found: Sequence[Mapping[str, tuple[str, ...]]]) -> list[tuple[str, ...]]:
    """Rows that are the same in all of several jobs."""
    if len(found) < 2:
        return []
    first = found[0].items()
    return [row for name, row in first if all(other.get(name) == row for other in found)]


def _settings(model: type[BaseModel]) -> Iterator[tuple[str, tuple[str, ...]]]:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        default = model.model_fields[name].get_default(call_default_factory=True)
        shown = "required" if name in required else default_of(default)
        yield name, (f"`{name}`", shown, type_of(field), field.get("description", ""))


def default_of(value: Any) -> str:
    """A setting's default as it is shown."""
    return "empty" if value is None or value in ("", (), [], {}) else f"`{value}`"


def type_of(field: Mapping[str, Any]) -> str:
    """A JSON schema's type in words."""
    if "anyOf" in field:
        return " or ".join(type_of(option) for option in field["anyOf"])
    if "enum" in field:
        return "one of " + _codes(map(str, field["enum"]))
    if field.get("type") == "object":
        return f"map of text to {type_of(field.get('additionalProperties') or {})}"
    if field.get("type") == "array":
        return f"list of {type_of(field.get('items', {}))}"
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    limits = [f"{sign} {field[key]:g}" for key, sign in signs.items() if key in field]
    names = {"string": "text", "password": "secret", "null": "nothing"}
    kind = field.get("format") or field.get("type", "anything")
    return " ".join([names.get(kind, kind), *limits])


def cli_page(command: Any) -> Pages:
    """Every command below a root (as typer.main.get_command gives it): usage, help, parameters."""
    name = command.name or "hardiot"
    blocks = ["# Command line", NOTICE, *_command(command, name, None)]
    return {f"{FOLDER}/cli.md": page(blocks)}


def _command(command: Any, name: str, parent: typer.Context | None) -> Iterator[str]:
    # typer vendors its click, so these are not classes that could be named here
    context = typer.Context(command, info_name=name, parent=parent, terminal_width=90)
    if parent:
        yield f"## {context.command_path}"
    yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield (command.help or "").strip()
    params = [p for p in command.get_params(context) if not (p.is_eager or p.hidden)]
    records = filter(None, (param.get_help_record(context) for param in params))
    # a default may be a path of the machine that makes the page
    rows = [(f"`{option}`", text.replace(f"{ROOT}/", "")) for option, text in records]
    if rows:
        yield table(("parameter", "meaning"), rows)
    for child, found in getattr(command, "commands", {}).items():
        if not found.hidden:
            yield from _command(found, child, context)


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def page(blocks: Iterable[str]) -> str:
    """A page of blocks; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block) + "\n"
