"""The sensors that a rule is tried on, where only their names are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from udfs.catalogue import Catalogue
from udfs.rules.globs import is_glob
from udfs.rules.model import Rule
from udfs.rules.pattern import EventModel
from udfs.rules.selector import Selector

FACILITY, GATEWAY, ASSET = "plant-1", "gw-1", "asset"


def selectors(rule: Rule) -> list[Selector]:
    """All choices of sensors in a rule: its own, or those of its signal or of its events."""
    sources: list[Rule | EventModel] = [*(rule.events or {}).values()] or [rule]
    chosen: list[Selector] = []
    for source in sources:
        chosen += source.signal.of.values() if source.signal else [source.sensors]
    return chosen


def place(rule: Rule) -> tuple[str, str]:
    """A facility and gateway that the rule watches."""
    chosen = [rule.sensors, *selectors(rule)]
    facility = next(exact(s.facility for s in chosen), FACILITY)
    return facility, next(exact(s.gateway for s in chosen), GATEWAY)


def asset_of(name: str) -> str:
    """The asset in a sensor's name: what comes before its first dot. All without one share one."""
    asset, dot, _ = name.partition(".")
    return asset if dot else ASSET


def likely(rule: Rule, name: str) -> Selector:
    """The selector that probably means this sensor."""
    chosen = selectors(rule)
    fitting = (s for s in chosen if s.name is not None and fnmatchcase(name, s.name))
    nameless = (s for s in chosen if s.name is None)
    return next(fitting, None) or next(nameless, None) or Selector()


def exact(globs: Iterable[str | None]) -> Iterator[str]:
    """Those that stand for one word only."""
    return (glob for glob in globs if glob is not None and not is_glob(glob))


def unmatched(rule: Rule, catalogue: Catalogue) -> str:
    """Why the rule watches none of these sensors; empty when it does."""
    chosen = selectors(rule)
    if any(len(selector.slots(catalogue)) for selector in chosen):
        return ""
    wanted = " or ".join(dict.fromkeys(map(describe, chosen)))
    there = [
        f"{name} ({kind or 'unknown kind'}, asset {asset})"
        for name, kind, asset in zip(catalogue.name, catalogue.kind, catalogue.asset, strict=True)
    ]
    more = f" and {len(there) - 5} more" if len(there) > 5 else ""
    here = f"{catalogue.facility}/{catalogue.gateway}"
    return f"the rule watches {wanted}; {here} has {', '.join(there[:5])}{more}"


def describe(selector: Selector) -> str:
    """A selector in words."""
    given = selector.model_dump(exclude_none=True, exclude_defaults=True)
    words = [f"{key} {', '.join(v) if isinstance(v, list) else v}" for key, v in given.items()]
    return " and ".join(words) if words else "all sensors"
