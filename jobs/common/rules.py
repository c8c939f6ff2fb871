"""Rule files, read and parsed; all mistakes of all files at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from jobs.common.errors import HardiotError
from udfs.rules.rulebook import Rule, RuleErrors, parse_all

ROOT = Path(__file__).parents[2]


class RulesError(HardiotError):
    """Rules that cannot be used; one mistake a line, with file and line."""


def load_rules(folder: Path) -> list[Rule]:
    """The rules of a folder; a relative one is looked for in the project.

    Raises: RulesError: no such folder, files that cannot be read, or mistakes in them.
    """
    place = folder if folder.is_absolute() else ROOT / folder
    if not place.is_dir():
        raise RulesError(f"{folder}: no such folder; rules lie in flink-conf/rules")
    return parse(read_files(sorted(place.glob("*.yaml"))))


def read_files(files: Iterable[Path]) -> dict[str, str]:
    """Rule files by their names: as given, those of the project by their place there.

    Raises: RulesError: one cannot be read.
    """
    texts = {}
    for file in files:
        name = str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)
        try:
            texts[name] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RulesError(f"{file}: cannot be read: {error}") from None
    return texts


def parse(texts: Mapping[str, str]) -> list[Rule]:
    """The rules of some files. Raises: RulesError: a line for each mistake."""
    try:
        return parse_all(texts)
    except RuleErrors as errors:
        raise RulesError(str(errors)) from None
