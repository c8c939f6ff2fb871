"""Rulebooks for tests: as pushed, with one rule each unless told otherwise."""

from __future__ import annotations

from udfs.rules.record import Rulebook, encode, record_key

RULE = """
  - name: {name}
    version: {version}
    sensors: {{kind: temperature, name: "*bearing-temperature"}}
    condition: {{threshold: {{above: {above}}}}}
    severity: warning
    text: "{{sensor}} is at {{value:.1f}}"
"""


def rule(name: str = "hot", version: int = 1, above: float = 80) -> str:
    """One entry of a file."""
    return RULE.format(name=name, version=version, above=above)


def book(revision: int, *entries: str, text: str = "") -> Rulebook:
    """A revision with these rules; by default one that only this revision has."""
    body = text or "rules:" + "".join(entries or (rule(f"of-{revision}"),))
    return Rulebook(revision, {"plant.yaml": body}, "ana", f"change {revision}", 1_750_000_000_000)


def record(revision: int, *entries: str, ident: str = "a", text: str = "") -> tuple[str, bytes]:
    """Key and value of a record of topic rules."""
    return record_key(revision, ident), encode(book(revision, *entries, text=text))
