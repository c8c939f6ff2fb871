"""One stream of readings through the same rules in all places, and what was told in each.

edge: a real gateway, filters and all, under a clock of the test. cloud: the step of the job, fed
with the records that the gateway sent. history: back-tests over a Parquet file of the readings in
them. notebook: the cells of notebooks/try_a_rule.ipynb over the same file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from edge.filters.settings import FilterSettings
from jobs.common.history import EVER_MS
from jobs.common.history_files import FileHistory
from tests.edge.rig import Site
from tests.edge.uplink.fakes import Sent
from tests.notebooks.run import NOTEBOOKS, run
from tests.places.plant import FACILITY, GATEWAY, SECONDS, Plant
from udfs.alerts import GATEWAY as WHOLE_GATEWAY
from udfs.alerts import AlertEvent
from udfs.batch import Batch, decode
from udfs.catalogue import Catalogue
from udfs.rules.model import Rule
from udfs.rules.rulebook import parse
from udfs.trial.backtest import Backtest, Report

RULES = Path(__file__).parent / "rules.yaml"
NOTEBOOK = NOTEBOOKS / "try_a_rule.ipynb"
FILTERS = FilterSettings.model_validate(
    {"filters": [{"names": ["tank-1.temperature"], "stuck": {"stuck_s": 15}}]}
)


def load_rules(text: str | None = None) -> list[Rule]:
    """The rules of this folder, or of a text in their place."""
    return parse(text or RULES.read_text(encoding="utf-8"), RULES.name)


@dataclass
class Recorded(Site):
    """A site whose records on their way to Kafka are kept."""

    sent: list[Sent] = field(default_factory=list)

    def _deliver(self) -> None:
        self.sent += self.transport.arrived
        super()._deliver()

    def batches(self) -> list[Batch]:
        """What the gateway made of the readings."""
        found = [decode(sent.value) for sent in self.sent if sent.topic == f"readings.{FACILITY}"]
        assert [batch.sequence for batch in found] == list(range(len(found))), "sent out of order"
        return found


def at_the_site(folder: Path, rules: Sequence[Rule]) -> Recorded:
    """The whole stream through the gateway, and on to the step of the job."""
    site = Recorded(folder, Plant(), rules=rules, filters=FILTERS)
    site.run(SECONDS)
    return site


def write_history(batches: Iterable[Batch], catalogue: Catalogue, path: Path) -> Path:
    """The readings of batches as a Parquet file, as a store of readings would give them."""
    made = list(batches)
    offset = [np.zeros(len(b), np.int32) if b.offset_ms is None else b.offset_ms for b in made]
    quality = [np.zeros(len(b), np.uint8) if b.quality is None else b.quality for b in made]
    start_ms = np.repeat([batch.time_ms for batch in made], [len(batch) for batch in made])
    slot = np.concatenate([batch.slots() for batch in made])
    columns = {
        "time": pa.array(start_ms + np.concatenate(offset), pa.timestamp("ms", "UTC")),
        "sensor": np.array(catalogue.name)[slot],
        "value": np.concatenate([batch.value for batch in made]),
        "quality": np.concatenate(quality),
        "period_ms": catalogue.period_ms[slot],
    }
    for name in ("asset", "kind", "unit", "asset_type", "tags"):
        columns[name] = np.array(getattr(catalogue, name))[slot]
    pq.write_table(pa.table(columns), path)
    return path


def in_the_backtest(path: Path, rules: Sequence[Rule]) -> list[AlertEvent]:
    """What back-tests of all rules tell of a file."""
    trials = [Backtest(rule) for rule in rules]
    for catalogue, batch in FileHistory(path, FACILITY, GATEWAY).read(-EVER_MS, EVER_MS):
        for trial in trials:
            trial.take(catalogue, batch)
    return events_of([trial.report() for trial in trials])


def in_the_notebook(path: Path, text: str) -> list[AlertEvent]:
    """What the notebook finds of the rules in a text, in a file."""
    parameters = {
        "RULES": text,
        "ALSO": [],
        "HISTORY": path,
        "FACILITY": FACILITY,
        "GATEWAY": GATEWAY,
    }
    return events_of(run(NOTEBOOK, parameters)["reports"])


def events_of(reports: Iterable[Report]) -> list[AlertEvent]:
    """All events of the alerts in reports."""
    lives = [life for report in reports for life in report.alerts]
    return [
        event
        for life in lives
        for event in (life.firing, *life.updates, life.resolved)
        if event is not None
    ]


def told(events: Iterable[AlertEvent]) -> Counter[AlertEvent]:
    """The events as all places must tell them: id, times, severity, values and words.

    When an event was made and by which trace it came is each place's own. That a whole gateway is
    silent is judged in the cloud only.
    """
    return Counter(
        replace(event, created_ms=0, traceparent="")
        for event in events
        if event.subject != WHOLE_GATEWAY
    )


def differences(places: dict[str, Counter[AlertEvent]]) -> list[str]:
    """A line for each event that is not told once in every place: how often it is in each."""
    found = []
    for event in sorted(set().union(*places.values()), key=_order):
        times = {place: events[event] for place, events in places.items()}
        if set(times.values()) != {1}:
            found.append(f"{times}: {event}")
    return found


def _order(event: AlertEvent) -> tuple[str, str, int, str]:
    return event.rule, event.subject, event.event_ms, event.status
