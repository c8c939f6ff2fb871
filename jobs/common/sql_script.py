"""A file of SQL as statements: comments gone, variables filled, every mistake told at once.

    script = read_script(Path("jobs/sql/overheating.sql"), variables(settings))
    script.tables       # CREATE ..., in order
    script.inserts      # INSERT ..., all of which are one job

A file names no host and holds no secret: it writes `${kafka}` where the options of a Kafka table
stand. Statements keep their place in the file, so Flink's messages name the file's lines.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from jobs.common.contracts import ROOT
from jobs.common.errors import JobError
from jobs.common.settings import JobSettings
from udfs.wording import hint

# texts, quoted names, comments, the end of a statement, and whatever lies between them
_PARTS = re.compile(
    r"(?P<quoted>'[^']*'|`[^`]*`)|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<end>;)|[^'`;/-]+|.", re.S
)
_KINDS = ("CREATE", "INSERT")


@dataclass(frozen=True)
class Script:
    """What a file holds.

    name: its stem, which names the job. fingerprint: eight digits that change when a statement
    does, not when Kafka's address or the layout does.
    """

    name: str
    tables: tuple[str, ...]
    inserts: tuple[str, ...]
    fingerprint: str


def variables(settings: JobSettings) -> dict[str, str]:
    """What a file may name, ready to stand in SQL; secrets are in clear, never log them.

    kafka: options of a Kafka table that say how to reach Kafka. facilities: a regular expression,
    without quotes. starting_offsets: earliest or latest.
    """
    client = {"bootstrap.servers": settings.bootstrap, **settings.client_properties()}
    options = [f"'properties.{_text(key)}' = '{_text(text)}'" for key, text in client.items()]
    return {
        "kafka": ", ".join(options),
        "facilities": _text(settings.facilities),
        "starting_offsets": settings.starting_offsets,
    }


def read_script(path: Path, known: Mapping[str, str]) -> Script:
    """The statements of a file, with its variables filled; a relative path is one in the project.

    Raises: JobError: no such file, or mistakes in it, one a line.
    """
    try:
        text = (ROOT / path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"{path}: cannot be read: {error}") from None
    found: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    mistakes, digest = [], hashlib.sha256()
    for line, statement in statements(text):
        wrong = [*_mistakes(statement, known)]
        mistakes += [f"{path}: line {line}: {problem}" for problem in wrong]
        if not wrong:
            filled = Template(statement).substitute(known)
            found[_kind(statement)].append("\n" * (line - 1) + filled)
            told = filled if _kind(statement) == "INSERT" else statement
            digest.update(" ".join(told.split()).encode())
    if not mistakes and not found["INSERT"]:
        mistakes = [f"{path}: nothing is written (add INSERT INTO ...)"]
    if mistakes:
        raise JobError("\n".join(mistakes))
    tables, inserts = map(tuple, found.values())
    return Script(path.stem, tables, inserts, digest.hexdigest()[:8])


def statements(text: str) -> Iterator[tuple[int, str]]:
    """(line, statement) of each statement: without comments and semicolon, never empty."""
    parts: list[str] = []
    for match in _PARTS.finditer(text + ";"):
        if match["end"]:
            before = "".join(parts)
            if before.strip():
                first = len(before) - len(before.lstrip())
                line = text.count("\n", 0, match.start()) - before.count("\n", first) + 1
                yield line, before.strip()
            parts = []
        else:
            comment = match["comment"]
            parts.append(match[0] if comment is None else "\n" * comment.count("\n") or " ")


def _mistakes(statement: str, known: Mapping[str, str]) -> Iterator[str]:
    if _kind(statement) not in _KINDS:
        yield f"{_kind(statement)} is not run here (use CREATE ... and INSERT INTO ...)"
    template = Template(statement)
    if not template.is_valid():
        yield "a $ that begins no variable (write $$ for a dollar)"
        return
    for name in template.get_identifiers():
        if name not in known:
            yield f"unknown variable ${{{name}}} ({hint(name, known)})"


def _kind(statement: str) -> str:
    return statement.split(maxsplit=1)[0].upper()


def _text(value: str) -> str:
    """A value as it stands between the quotes of a text in SQL."""
    return value.replace("'", "''")
