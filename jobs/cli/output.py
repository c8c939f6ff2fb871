"""Where commands print: data on stdout as a table or as JSON, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

# texts hold brackets of their own ("flow [m3/h]"), and lines are for grep, too
log = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


class Format(StrEnum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="table for people, json for programs.")
]

Row = Mapping[str, Any]


def show_rows(rows: Sequence[Row], output: Format, title: str = "") -> None:
    """Print rows of equal keys: one table, or one JSON list."""
    if output is Format.JSON:
        show_json(list(rows))
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name in rows[0] if rows else ():
        right = isinstance(rows[0][name], int | float) and not isinstance(rows[0][name], bool)
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    Console(markup=False).print(table if rows else f"{title or 'nothing'}: none")


def show_item(item: Row, output: Format, title: str = "") -> None:
    """Print one object: a two-column table, or one JSON object."""
    if output is Format.JSON:
        show_json(item)
        return
    table = Table("what", "value", title=title or None, title_justify="left", show_header=False)
    for name, value in item.items():
        table.add_row(name, cell(value))
    Console(markup=False).print(table)


def show_json(value: Any, indent: int | None = 2) -> None:
    """Print JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=indent, default=str) + "\n")
    sys.stdout.flush()


def cell(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}" if isinstance(value, float) else str(value)


def fail(message: str, code: int = 1) -> typer.Exit:
    """Say what went wrong on stderr. Returns: the exit to raise (1 failed, 2 wrong usage)."""
    log.print(message, style="red")
    return typer.Exit(code)
