"""Rule files from a folder, for a gateway; all mistakes of all files at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import EdgeError
from udfs.rules.rulebook import Rule, RuleErrors, parse_all

RULES = Path(__file__).parents[1] / "flink-conf" / "rules"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules to go by, and where they are from.

    revision: of their rulebook, 0 for those of a folder. author, reason, created_ms: of its push,
    UTC epoch ms.
    """

    rules: Sequence[Rule]
    revision: int = 0
    author: str = ""
    reason: str = ""
    created_ms: int = 0


def load_rules(folder: Path | None = None) -> list[Rule]:
    """The rules of a folder; None: those that the cloud runs, as they came with this gateway.

    Raises: EdgeError: no such folder, it cannot be read, or one line for each mistake in its files.
    """
    place = folder or RULES
    if not place.is_dir():
        raise EdgeError(f"{place}: no such folder; copy flink-conf/rules there, or set rules:")
    try:
        files = sorted(place.glob("*.yaml"))
        return parse_all({f"{place.name}/{p.name}": p.read_text(encoding="utf-8") for p in files})
    except RuleErrors as errors:
        raise EdgeError(str(errors)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeError(f"{place}: cannot be read: {error}") from None
