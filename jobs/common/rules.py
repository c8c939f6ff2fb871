"""Rule files from a folder; all mistakes of all files at once."""

from __future__ import annotations

from pathlib import Path

from jobs.common.errors import HardiotError
from udfs.rules.rulebook import Rule, RuleErrors, parse_all

ROOT = Path(__file__).parents[2]


class RulesError(HardiotError):
    """Rules that cannot be used; one mistake a line, with file and line."""


def load_rules(folder: Path) -> list[Rule]:
    """The rules of a folder; a relative one is looked for in the project.

    Raises: RulesError: no such folder, or mistakes in its files.
    """
    place = folder if folder.is_absolute() else ROOT / folder
    if not place.is_dir():
        raise RulesError(f"{folder}: no such folder; rules lie in flink-conf/rules")
    texts = {f"{place.name}/{p.name}": p.read_text() for p in sorted(place.glob("*.yaml"))}
    try:
        return parse_all(texts)
    except RuleErrors as errors:
        raise RulesError(str(errors)) from None
