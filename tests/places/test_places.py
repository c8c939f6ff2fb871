"""One rule, the same alerts: at the edge, in the step of the job, in a back-test, in the notebook.

tests/spine/test_four_places.py is the same with the job itself.
"""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from tests.places.places import (
    RULES,
    at_the_site,
    differences,
    in_the_backtest,
    in_the_notebook,
    load_rules,
    told,
    write_history,
)
from udfs.alerts import FIRING, RESOLVED, UPDATED, AlertEvent

log = logging.getLogger(__name__)

Places = dict[str, Counter[AlertEvent]]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder, rules = tmp_path_factory.mktemp("site"), load_rules()
    site = at_the_site(folder / "spool", rules)
    history = write_history(site.batches(), site.plant.catalogue, folder / "history.parquet")
    return {
        "edge": told(site.cloud.edge_alerts),
        "step": told(event for _, event in site.cloud.alerts),
        "back-test": told(in_the_backtest(history, rules)),
        "notebook": told(in_the_notebook(history, RULES.read_text(encoding="utf-8"))),
    }


def test_all_places_tell_the_same(places: Places) -> None:
    log.info("events told: %s", {place: events.total() for place, events in places.items()})
    assert differences(places) == []


def test_every_rule_fires_and_ends(places: Places) -> None:
    for status in (FIRING, RESOLVED):
        assert {e.rule for e in places["edge"] if e.status == status} == {
            rule.name for rule in load_rules()
        }
    assert UPDATED in {event.status for event in places["edge"]}
