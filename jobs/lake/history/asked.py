"""What a rule needs of the archive: which questions, and whether it hears its gateway.

A rule for one kind is no reason to read all sensors. What a question cannot say (asset types, tags)
is left out once the catalogue is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import numpy as np
import pyarrow as pa

from jobs.common.history import HistoryError
from jobs.lake.query.scope import Mask, matching
from udfs.rules.conditions import NoDataModel
from udfs.rules.globs import matcher
from udfs.rules.model import Rule
from udfs.rules.selector import Selector
from udfs.trial.sensors import selectors

Globs = Mapping[str, str]  # by column of readings

_COLUMNS = {"name": "sensor", "asset": "asset", "gateway": "gateway"}


def questions(rule: Rule, facility: str) -> list[Globs]:
    """Globs that together choose all sensors of a facility that the rule may watch, as few as can
    be; none when it watches no such facility. A sensor may match several."""
    found: list[Globs] = []
    for selector in _narrowed(rule):
        if selector.facility is None or matcher(selector.facility)(facility):
            found += _globs(selector)
    found = [dict(each) for each in dict.fromkeys(tuple(sorted(g.items())) for g in found)]
    return [each for each in found if not any(_within(each, other) for other in found)]


def _narrowed(rule: Rule) -> Iterator[Selector]:
    """Selectors of the rule; events and signals choose among what the rule itself says."""
    wide = rule.sensors.model_dump(exclude_none=True)
    for chosen in selectors(rule):
        yield Selector.model_validate(wide | chosen.model_dump(exclude_none=True))


def _globs(selector: Selector) -> Iterator[Globs]:
    given = selector.model_dump(include=set(_COLUMNS), exclude_none=True)
    rest = {_COLUMNS[key]: glob for key, glob in given.items()}
    yield from [rest | {"kind": kind} for kind in selector.kind or ()] or [rest]


def _within(narrow: Globs, wide: Globs) -> bool:
    """Whether all that the one finds is found by the other, which says less of the same."""
    return narrow != wide and wide.items() <= narrow.items()


def not_of(batch: pa.RecordBatch, earlier: Iterable[Globs]) -> Mask:
    """Which readings are not in the answers to these questions, shape (n,)."""
    mask = np.ones(len(batch), np.bool_)
    for globs in earlier:
        inside = [matching(batch[column], glob) for column, glob in globs.items()]
        mask &= ~np.logical_and.reduce(inside)
    return mask


def hears_gateway(rule: Rule) -> bool:
    """Whether what it tells hangs on when its gateway sent anything, and not on its sensors alone:
    silence, absence, time that passes, a schedule."""
    timed = (rule.events, rule.when, rule.escalate, rule.de_escalate)
    of_silence = rule.condition is not None and isinstance(rule.condition.one, NoDataModel)
    return of_silence or any(timed)


def check_labels(rule: Rule) -> None:
    """Raises: HistoryError: the rule chooses by what only a catalogue says."""
    chosen = [rule.sensors, *selectors(rule)]
    for (key, words), selector in product((("asset_type", "asset type"), ("tag", "tag")), chosen):
        if getattr(selector, key) is not None:
            raise HistoryError(
                f'rule "{rule.name}" chooses sensors by {words}, which the archive does not say: '
                "name the brokers (--bootstrap), whose catalogues do"
            )
