"""The archive as history of a back-test: the alerts are those of the recording, to the id."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from jobs.cli.backtest import run
from jobs.cli.main import app
from jobs.common.history import EVER_MS, History, HistoryError
from jobs.common.history_files import FileHistory
from jobs.common.rules import parse
from jobs.lake.catalog import open_catalog
from jobs.lake.history import site as history_site
from jobs.lake.history.asked import hears_gateway, questions
from jobs.lake.history.site import HOLD_ROWS, Pace
from jobs.lake.history.source import LakeHistory
from jobs.lake.settings import LakeSettings
from tests.lake.query_plant import HOUR_MS, MINUTE_MS, SENSORS, STEP_MS, T0, Plant, make_tables
from tests.lake.query_plant import catalogue as plain
from udfs.archive.chunk import Chunk, collect
from udfs.batch import Batch, decode, encode
from udfs.catalogue import Catalogue
from udfs.rules.model import Rule
from udfs.trial.backtest import Report

HOURS, GATEWAYS = 3, ("gw-1", "gw-2")
FLOW, HEAT, LEVEL = 0, 1, 4  # slots of pump-1 and the tank

RULES = """
rules:
  - name: hot
    sensors: {kind: temperature, gateway: "gw-*"}
    condition: {threshold: {above: 80, clear_below: 76, for_s: 30}}
    severity: warning
    text: "{sensor} is at {value:.2f} {unit}"
  - name: hot-for-long
    sensors: {name: "pump-1.heat"}
    condition: {threshold: {above: 80, clear_below: 76}}
    severity: info
    text: "{sensor}"
    escalate: [{after_s: 60, severity: warning}, {after_s: 600, severity: critical}]
    de_escalate: {after_s: 40}
  - name: silent
    sensors: {kind: level}
    condition: {no_data: {for_s: 60}}
    severity: warning
    text: "{sensor}"
  - name: bad
    sensors: {kind: [level, flow]}
    condition: {quality: {is: bad, for_s: 20}}
    severity: info
    text: "{sensor}"
  - name: apart
    sensors: {asset: "pump-*"}
    signal:
      value: "heat - flow"
      of: {heat: {name: "*.heat"}, flow: {kind: flow}}
      unit: K
    condition: {threshold: {above: 70}}
    severity: info
    text: "{asset} {value}"
  - name: not-cooled
    events:
      hot: {sensors: {kind: temperature}, condition: {threshold: {above: 80, clear_below: 76}}}
      cool: {sensors: {kind: temperature}, condition: {threshold: {below: 60}}}
    pattern: {sequence: [hot, {not: cool}], within_s: 120}
    severity: warning
    text: "{asset}"
  - name: office-hours
    sensors: {name: "pump-1.heat"}
    when: {zone: UTC, from: "00:00", to: "01:30"}
    condition: {threshold: {above: 80, clear_below: 76}}
    severity: info
    text: "{sensor}"
"""
ALL_RULES = {rule.name: rule for rule in parse({"rules": RULES})}


@cache
def recorded(gateway: str) -> list[Batch]:
    return list(record(gateway))


def record(gateway: str) -> Iterator[Batch]:
    """What a gateway sent: hot spells, bad readings, a sensor that is away, a pause, late times."""
    shift = 7 * GATEWAYS.index(gateway)
    number = 0
    for tick in range(HOURS * HOUR_MS // STEP_MS):
        if 400 <= tick < 460:  # ten minutes of nothing
            continue
        value = np.array([20.0, 65.0, 20.0, 65.0, 1 / 3])
        value += tick % 10 / 10
        hot = (tick + shift) % 180
        value[HEAT] = 65 if hot < 100 else 85 + hot / 100 if hot < 170 else 55
        value[3] = 90.125 if tick % 500 in (70, 71, 72, 73) else 64
        slots = np.arange(5, dtype=np.uint32)
        quality = np.zeros(5, np.uint8)
        quality[FLOW] = 2 if 200 <= tick < 206 else 0
        offset = np.array([0, 137 * tick % 900, 0, 250, 0], np.int32)
        here = np.ones(5, np.bool_)
        here[LEVEL] = not 600 <= tick < 640
        yield Batch(
            "plant-07", gateway, 1, number, T0 + tick * STEP_MS, value[here], slots[here],
            offset[here], quality[here],
        )  # fmt: skip
        number += 1


@cache
def catalogue(gateway: str) -> Catalogue:
    return plain("plant-07", gateway)


@cache
def sent() -> list[tuple[Catalogue, Batch]]:
    """All of it, as it comes out of the bytes of its records."""
    return [(catalogue(g), decode(encode(b))) for g in GATEWAYS for b in recorded(g)]


class Recording:
    """What Kafka's records hold, as `KafkaHistory` gives it."""

    def read(self, from_ms: int, to_ms: int) -> Iterator[tuple[Catalogue, Batch]]:
        return (each for each in sent() if from_ms <= each[1].time_ms < to_ms)


class Published:
    """A broker's catalogues."""

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        return catalogue(gateway)

    def newest(self, facility: str, gateway: str) -> Catalogue | None:
        return catalogue(gateway)


class OnlyNames(Published):
    """No catalogue but for chunks, so that periods and assets are those of the rows."""

    def newest(self, facility: str, gateway: str) -> Catalogue | None:
        return None


def chunks(hour: int) -> Iterator[Chunk]:
    """The chunks of an hour; of one minute in seven the last batches came late."""
    for gateway in GATEWAYS:
        minutes: dict[int, list[Batch]] = {}
        for batch in recorded(gateway):
            minutes.setdefault((batch.time_ms - T0) // MINUTE_MS, []).append(batch)
        for minute, parts in minutes.items():
            if minute // 60 == hour:
                first = len(parts) - (2 if minute % 7 == 0 else 0)
                for revision, some in enumerate((parts[:first], parts[first:]), 1):
                    if some:
                        yield collect(
                            "plant-07", gateway, T0 + minute * MINUTE_MS, revision,
                            len(some) == 6, 6 - len(some), some,
                        )  # fmt: skip


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """An hour in the file of its day, one compacted with late parts, one in chunks; only read."""
    folder = tmp_path_factory.mktemp("lake")
    settings = LakeSettings(catalog_uri=f"sqlite:{folder}/catalog.db", warehouse=str(folder))
    with open_catalog(settings) as catalog:
        make_tables(catalog, settings)
        plant = Plant(catalog, settings)
        _fill(plant)
        yield plant


def _fill(plant: Plant) -> None:
    for hour in range(HOURS):
        made = list(chunks(hour))
        if hour < 2:
            plant.archive(*(one for one in made if one.revision == 1))
            list(plant.compact(hour=hour))
            plant.archive(*(one for one in made if one.revision > 1))
            list(plant.compact(hour=hour))
        else:
            plant.archive(*made)
        if hour == 0:
            plant.merge_day()


def told(report: Report) -> list[tuple[Any, ...]]:
    """All events of all alerts, by id."""
    events = [
        event
        for life in report.alerts
        for event in (life.firing, *life.updates, *([life.resolved] if life.resolved else []))
    ]
    return sorted(
        (e.id, e.status, e.severity, e.event_ms, e.onset_ms, e.value, e.unit, e.asset, e.text)
        for e in events
    )


def tried(rule: Rule, history: History, from_ms: int = -EVER_MS, to_ms: int = EVER_MS) -> Report:
    return run(rule, history, from_ms, to_ms)


@cache
def of_recording(name: str) -> Report:
    return tried(ALL_RULES[name], Recording())


@pytest.mark.parametrize("name", ALL_RULES)
@pytest.mark.parametrize("published", [Published(), OnlyNames()], ids=["published", "guessed"])
def test_alerts_are_those_of_the_recording(
    archived: Plant, name: str, published: Published
) -> None:
    rule = ALL_RULES[name]
    wanted = of_recording(name)
    found = tried(rule, LakeHistory(rule, settings=archived.settings, published=published))
    assert told(found) == told(wanted) and wanted.alerts
    assert found.firing_share == pytest.approx(wanted.firing_share, abs=1e-3)
    assert (found.sensors, found.assets, found.late) == (wanted.sensors, wanted.assets, 0)


def test_alerts_are_those_of_a_file_with_the_same_readings(archived: Plant, tmp_path: Path) -> None:
    rows: dict[str, list[Any]] = {name: [] for name in ("time", "sensor", "value", "quality")}
    for batch in recorded("gw-1"):
        assert batch.offset_ms is not None and batch.quality is not None
        rows["time"] += (batch.time_ms + batch.offset_ms.astype(np.int64)).tolist()
        rows["sensor"] += [SENSORS[slot] for slot in batch.slots()]
        rows["value"] += batch.value.tolist()
        rows["quality"] += batch.quality.tolist()
    pq.write_table(pa.table(rows), tmp_path / "history.parquet")
    rule = ALL_RULES["hot"].model_copy(
        update={"sensors": ALL_RULES["hot"].sensors.model_copy(update={"gateway": "gw-1"})}
    )
    files = FileHistory(tmp_path / "history.parquet", "plant-07", "gw-1", {"*.heat": "temperature"})
    lake = LakeHistory(rule, settings=archived.settings, published=OnlyNames())
    wanted, found = tried(rule, files), tried(rule, lake)
    ids = [life.firing.id for life in wanted.alerts]
    assert [life.firing.id for life in found.alerts] == ids and len(ids) > 4
    assert (found.gateways, found.sensors) == (1, 2)
    assert found.readings < wanted.readings


def test_only_the_sensors_and_times_that_are_asked_for(archived: Plant) -> None:
    rule = ALL_RULES["hot"]
    begin, end = T0 + 30 * MINUTE_MS, T0 + 130 * MINUTE_MS + 5000
    found = list(
        LakeHistory(rule, settings=archived.settings, published=OnlyNames()).read(begin, end)
    )
    names = {catalogue.name for catalogue, _ in found}
    assert names == {("pump-1.heat", "pump-2.heat")}
    wanted = [
        (batch.gateway, time, value, quality)
        for gateway in GATEWAYS
        for batch in recorded(gateway)
        for slot, time, value, quality in readings_of(batch)
        if begin <= time < end and slot in (1, 3)
    ]
    got = [(b.gateway, *row[1:]) for _, b in found for row in readings_of(b)]
    assert sorted(got) == sorted(wanted)
    for gateway in GATEWAYS:
        mine = [batch for _, batch in found if batch.gateway == gateway]
        assert [batch.sequence for batch in mine] == list(range(len(mine)))
        assert [batch.time_ms for batch in mine] == sorted({batch.time_ms for batch in mine})


def readings_of(batch: Batch) -> list[tuple[int, int, float, int]]:
    offset = 0 if batch.offset_ms is None else batch.offset_ms.astype(np.int64)
    time = np.broadcast_to(batch.time_ms + offset, batch.value.shape).tolist()
    quality = np.zeros(len(batch), np.uint8) if batch.quality is None else batch.quality
    return list(
        zip(batch.slots().tolist(), time, batch.value.tolist(), quality.tolist(), strict=True)
    )


TWICE = """
rules:
  - name: twice
    sensors: {gateway: "gw-?"}
    events:
      hot: {sensors: {kind: [temperature, flow]}, condition: {threshold: {above: 80}}}
      any: {sensors: {name: "pump-1.*"}, condition: {threshold: {above: 80}}}
    pattern: {sequence: [hot, any], within_s: 120}
    severity: info
    text: x
"""


def test_a_reading_that_two_selectors_choose_comes_once(archived: Plant) -> None:
    (rule,) = parse({"rules": TWICE})
    history = LakeHistory(rule, settings=archived.settings, published=OnlyNames())
    found = [(b.gateway, row) for _, b in history.read(T0, T0 + HOUR_MS) for row in readings_of(b)]
    assert len(found) == len(set(found)) == len(GATEWAYS) * 4 * 360


@pytest.mark.parametrize("name", ["hot", "silent", "apart"])
def test_however_long_the_spans_are(
    archived: Plant, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rule = ALL_RULES[name]
    asked: list[tuple[int, int]] = []
    parts = history_site.SiteHistory._parts

    def spy(self: Any, from_ms: int, to_ms: int) -> Any:
        asked.append((from_ms, to_ms))
        return parts(self, from_ms, to_ms)

    monkeypatch.setattr(history_site.SiteHistory, "_parts", spy)
    long = tried(rule, LakeHistory(rule, settings=archived.settings, published=Published()))
    assert len(asked) == 3  # 0 to 1, 1 to 2, 2 to 3: longer ones begin at their multiples
    asked.clear()
    monkeypatch.setattr(history_site, "HOLD_ROWS", 500)
    short = tried(rule, LakeHistory(rule, settings=archived.settings, published=Published()))
    assert told(short) == told(long) and len(asked) == 3


def test_spans_grow_where_there_is_little_and_shrink_where_there_is_much() -> None:
    hour, pace = HOUR_MS, Pace()
    assert pace.end_ms(5 * hour + 1) == 6 * hour
    for rows, end in ((0, 6), (0, 8), (HOLD_ROWS // 3, 12), (HOLD_ROWS // 2 + 1, 12)):
        pace.note(rows)
        assert pace.end_ms(5 * hour) == end * hour
    assert pace.holds(HOLD_ROWS)
    assert not pace.holds(HOLD_ROWS + 1) and pace.end_ms(5 * hour) == 8 * hour
    assert not pace.holds(HOLD_ROWS + 1) and not pace.holds(HOLD_ROWS + 1)
    assert pace.end_ms(5 * hour) == 6 * hour and pace.holds(100 * HOLD_ROWS)


LABELS = """
rules:
  - name: by-type
    sensors: {asset_type: pump, kind: temperature}
    condition: {threshold: {above: 80}}
    severity: info
    text: x
"""


def test_what_only_a_catalogue_says(archived: Plant) -> None:
    (rule,) = parse({"rules": LABELS})
    with pytest.raises(HistoryError, match='"by-type" chooses sensors by asset type, which the'):
        LakeHistory(rule, settings=archived.settings)

    class Typed(Published):
        def newest(self, facility: str, gateway: str) -> Catalogue | None:
            types = ("pump", "pump", "", "", "")
            return dataclasses.replace(catalogue(gateway), asset_type=types)

    report = tried(rule, LakeHistory(rule, settings=archived.settings, published=Typed()))
    assert {life.firing.subject for life in report.alerts} == {"pump-1.heat"}


def test_a_catalogue_of_other_brokers(archived: Plant) -> None:
    class Other(Published):
        def newest(self, facility: str, gateway: str) -> Catalogue | None:
            return plain(facility, gateway, sensors=1)

    rule = ALL_RULES["hot"]
    with pytest.raises(HistoryError, match="slot 3 is in the archive, and the published catalogue"):
        tried(rule, LakeHistory(rule, settings=archived.settings, published=Other()))


NOWHERE = """
rules:
  - name: elsewhere
    sensors: {facility: "plant-1*"}
    condition: {threshold: {above: 80}}
    severity: info
    text: x
  - name: unknown
    sensors: {kind: vibration}
    condition: {threshold: {above: 80}}
    severity: info
    text: x
"""


@pytest.mark.parametrize(
    ("name", "facility", "from_ms", "problem"),
    [
        ("elsewhere", "*", T0, "the rule watches none of the facilities plant-07"),
        ("unknown", "plant-*", T0, 'no kind of plant-07 is "vibration"'),
        ("unknown", "plant-1", T0, 'nothing of a facility "plant-1" in that time'),
        ("unknown", "*", T0 + 24 * HOUR_MS, r'nothing of a facility "\*" in that time'),
    ],
)
def test_why_there_is_nothing(
    archived: Plant, name: str, facility: str, from_ms: int, problem: str
) -> None:
    rule = next(each for each in parse({"rules": NOWHERE}) if each.name == name)
    history = LakeHistory(rule, facility, archived.settings, OnlyNames())
    with pytest.raises(HistoryError, match=problem):
        list(history.read(from_ms, EVER_MS))


def test_what_is_asked_for() -> None:
    asked = {name: questions(rule, "plant-07") for name, rule in ALL_RULES.items()}
    assert asked == {
        "hot": [{"gateway": "gw-*", "kind": "temperature"}],
        "hot-for-long": [{"sensor": "pump-1.heat"}],
        "silent": [{"kind": "level"}],
        "bad": [{"kind": "level"}, {"kind": "flow"}],
        "apart": [
            {"asset": "pump-*", "sensor": "*.heat"}, {"asset": "pump-*", "kind": "flow"},
        ],
        "not-cooled": [{"kind": "temperature"}],
        "office-hours": [{"sensor": "pump-1.heat"}],
    }  # fmt: skip
    assert questions(parse({"rules": NOWHERE})[0], "plant-07") == []
    assert questions(parse({"rules": TWICE})[0], "x") == [
        {"gateway": "gw-?", "kind": "temperature"}, {"gateway": "gw-?", "kind": "flow"},
        {"gateway": "gw-?", "sensor": "pump-1.*"},
    ]  # fmt: skip
    hears = {name for name, rule in ALL_RULES.items() if hears_gateway(rule)}
    assert hears == {"hot-for-long", "silent", "not-cooled", "office-hours"}


def test_on_the_command_line(
    archived: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", archived.settings.catalog_uri)
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", archived.settings.warehouse)
    monkeypatch.delenv("HARDIOT__BOOTSTRAP", raising=False)
    monkeypatch.setattr("jobs.cli.where.RUNS", tmp_path)  # no stack is up
    (tmp_path / "mine.yaml").write_text(RULES)
    args = ["rules", "backtest", f"{tmp_path}/mine.yaml:hot", "--lake"]
    until = ["--facility", "plant-0*", "--to", str(T0 + HOUR_MS), "-o", "json"]
    result = CliRunner().invoke(app, [*args, *until])
    assert result.exit_code == 0, result.exception
    report = json.loads(result.stdout)
    assert (report["readings"], report["gateways"], report["unmatched"]) == (1440, 2, "")
    wanted = tried(ALL_RULES["hot"], Recording(), T0, T0 + HOUR_MS)
    assert report["alerts"] == len(wanted.alerts) > 0
    result = CliRunner().invoke(app, [*args, "--data", str(tmp_path)])
    assert result.exit_code == 2 and "--data and --lake: history comes from" in result.stderr
