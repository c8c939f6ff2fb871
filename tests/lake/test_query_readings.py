"""Readings from chunks and from the table that is made of them: each once, at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.io.pyarrow import PyArrowFile

from jobs.lake.catalog import open_catalog
from jobs.lake.commit import commit
from jobs.lake.files import data_files, write_parquet
from jobs.lake.query import Lake, QueryError, plan, view
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, READINGS
from tests.lake.query_plant import (
    HOUR_MS,
    MINUTE_MS,
    STEP_MS,
    T0,
    Plant,
    chunk,
    known,
    lake,
    make_tables,
    plant,
    value,
)

__all__ = ["lake", "plant"]  # fixtures

PLACE = {"facility": "plant-07"}


def rows(table: pa.Table) -> list[tuple[str, int, int, float]]:
    """Gateway, slot, time and value of readings, as they come."""
    time = table["time"].cast(pa.int64()).to_pylist()
    columns = (table[name].to_pylist() for name in ("gateway", "slot", "value"))
    gateway, slot, values = columns
    return list(zip(gateway, slot, time, values, strict=True))


def expected(plant: Plant, facility: str = "plant-07") -> list[tuple[str, int, int, float]]:
    """All that was archived, by hour, then gateway, slot and time."""
    found = set()
    for one in plant.chunks.values():
        if one.facility == facility:
            cells = zip(
                one.sensor.tolist(), one.times_ms().tolist(), one.value.tolist(), strict=True
            )
            found |= {(one.gateway, *cell) for cell in cells}
    return sorted(found, key=lambda row: (row[2] // HOUR_MS, row))


def test_every_reading_from_chunks_then_from_the_table_then_from_the_day(
    plant: Plant, lake: Lake
) -> None:
    for hour in (0, 1):
        plant.archive(*(chunk(hour * 60 + m, g) for m in (0, 7, 59) for g in ("gw-1", "gw-2")))
    wanted = expected(plant)
    assert len(wanted) == 2 * 3 * 2 * 5 * 6
    assert rows(lake.readings(**PLACE).arrow()) == wanted
    for hour in (0, 1):
        for _ in plant.compact(hour=hour):
            assert rows(lake.readings(**PLACE).arrow()) == wanted
    assert data_files(plant.table(CHUNKS)) == []
    plant.merge_day()
    assert len(data_files(plant.table(READINGS))) == 1
    by_day = sorted(wanted)
    assert rows(lake.readings(**PLACE).arrow()) == by_day


def test_columns_units_and_types(plant: Plant, lake: Lake) -> None:
    plant.archive(chunk(0))
    found = lake.readings(**PLACE, sensor="pump-2.heat", until=T0 + 1)
    assert found.schema.field("time").metadata[b"unit"] == b"UTC, ms"
    (row,) = found.df().to_dict("records")
    assert row == {
        "facility": "plant-07", "gateway": "gw-1", "slot": 3, "sensor": "pump-2.heat",
        "asset": "pump-2", "kind": "temperature", "unit": "°C", "value": float(value(3, T0)),
        "quality": 0, "time": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    assert str(found.df().dtypes["time"]) == "datetime64[ms, UTC]"


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize(
    ("asked", "slots"),
    [
        ({"sensor": "pump-2.flow"}, [2]),
        ({"sensor": "pump-*"}, [0, 1, 2, 3]),
        ({"sensor": "*.heat"}, [1, 3]),
        ({"sensor": "pump-[13].f?ow"}, [0]),
        ({"asset": "tank"}, [4]),
        ({"asset": "pump-1", "kind": "flow"}, [0]),
        ({"kind": "temperature", "gateway": "gw-2"}, [1, 3]),
        ({"sensor": "*"}, [0, 1, 2, 3, 4]),
        ({"sensor": "no-such"}, []),
        ({"gateway": "gw-3"}, []),
    ],
)
def test_sensors(
    plant: Plant, lake: Lake, compacted: bool, asked: dict[str, str], slots: list[int]
) -> None:
    plant.archive(chunk(0), chunk(0, "gw-2"))
    if compacted:
        list(plant.compact())
    found = rows(lake.readings(**PLACE, **asked).arrow())
    gateways = [asked.get("gateway", gateway) for gateway in ("gw-1", "gw-2")]
    wanted = [(g, s) for g in sorted(set(gateways)) for s in slots for _ in range(6)]
    assert [row[:2] for row in found] == (wanted if slots else [])


@pytest.mark.parametrize("compacted", [False, True])
def test_times(plant: Plant, lake: Lake, compacted: bool) -> None:
    plant.archive(*(chunk(minute) for minute in range(57, 60)))
    plant.archive(*(chunk(minute) for minute in range(60, 63)))
    if compacted:
        list(plant.compact()) + list(plant.compact(hour=1))
    since, until = T0 + 58 * MINUTE_MS + 1, T0 + 61 * MINUTE_MS + STEP_MS
    times = list(range(T0 + 58 * MINUTE_MS + STEP_MS, until, STEP_MS))
    for asked in (
        {"since": since, "until": until},
        {"since": datetime.fromtimestamp(since / 1000, UTC), "until": "2026-01-01T01:01:10Z"},
        {"since": datetime.fromtimestamp(since / 1000), "until": "2026-01-01T02:01:10+01:00"},
    ):
        found = rows(lake.readings(**PLACE, sensor="tank.level", **asked).arrow())
        assert [row[2] for row in found] == times
    day = {"since": date(2026, 1, 1), "until": "2026-01-01"}
    assert len(lake.readings(**PLACE, **day).arrow()) == 6 * 6 * 5
    assert len(lake.readings(**PLACE, since="2026-01-02").arrow()) == 0


@pytest.mark.parametrize("compacted", [False, True])
def test_qualities(plant: Plant, lake: Lake, compacted: bool) -> None:
    plant.archive(chunk(0), chunk(1, quality=2), chunk(2, quality=3))
    if compacted:
        list(plant.compact())
    counts = {
        quality: len(lake.readings(**PLACE, quality=quality).arrow())
        for quality in (None, "good", "bad", 3, ("good", "stuck"))
    }
    assert counts == {None: 90, "good": 30, "bad": 30, 3: 30, ("good", "stuck"): 60}
    assert set(lake.readings(**PLACE, quality="stuck").arrow()["quality"].to_pylist()) == {3}


def test_late_readings_stand_where_they_belong_and_repeats_are_dropped(
    plant: Plant, lake: Lake
) -> None:
    """Before and after the compaction of each."""
    plant.archive(chunk(0, ticks=(0, 1, 4, 5)))
    plant.archive(chunk(0, revision=2, ticks=(1, 2)))
    wanted = expected(plant)
    assert len(wanted) == 5 * 5
    assert rows(lake.readings(**PLACE).arrow()) == wanted
    for _ in plant.compact():
        assert rows(lake.readings(**PLACE).arrow()) == wanted
    plant.archive(chunk(0, revision=3, ticks=(2, 3)))
    wanted = expected(plant)
    assert len(wanted) == 5 * 6
    assert rows(lake.readings(**PLACE).arrow()) == wanted
    for _ in plant.compact():
        assert rows(lake.readings(**PLACE).arrow()) == wanted


def test_parts_of_an_hour_in_one_file(plant: Plant, lake: Lake) -> None:
    """As two that were never merged: their readings are interleaved, repeats dropped."""
    plant.archive(chunk(0, ticks=(0, 3, 4)))
    list(plant.compact())
    plant.archive(chunk(0, revision=2, ticks=(1, 3, 5)))
    list(plant.compact())
    table = plant.table(READINGS)
    both = table.scan().to_arrow()
    order = [(name, "ascending") for name in ("gateway", "slot", "hour", "part")]
    made = write_parquet(table, both.sort_by(order), row_group_rows=3)
    commit(table, add=[made], remove=data_files(table))
    assert len(both) == 2 * 5 and rows(lake.readings(**PLACE).arrow()) == expected(plant)


def test_a_facility_is_asked_alone(
    plant: Plant, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No data file of another is opened, be it chunks, readings or rollups."""
    for facility in ("plant-07", "plant-08"):
        plant.archive(chunk(0, facility=facility), chunk(1, facility=facility))
        list(plant.compact(facility))
        plant.archive(chunk(60, facility=facility))
    opened: list[str] = []
    usual = PyArrowFile.open
    monkeypatch.setattr(
        PyArrowFile, "open", lambda self, *a: opened.append(self.location) or usual(self, *a)
    )
    assert len(lake.readings(**PLACE).arrow()) == 3 * 30
    assert len(lake.rollups(**PLACE).arrow()) == 3 * 5
    data = [path for path in opened if path.endswith(".parquet")]
    assert len(data) > 4 and all("facility=plant-07" in path for path in data)
    assert len(lake.readings(facility="*").arrow()) == 2 * 3 * 30
    facilities = lake.readings(facility="*").arrow()["facility"].to_pylist()
    assert facilities == sorted(facilities)


def test_only_files_of_the_time_are_opened(
    plant: Plant, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in range(3):
        plant.archive(chunk(hour * 60))
        list(plant.compact(hour=hour))
    opened: list[str] = []
    usual = PyArrowFile.open
    monkeypatch.setattr(
        PyArrowFile, "open", lambda self, *a: opened.append(self.location) or usual(self, *a)
    )
    since = T0 + HOUR_MS
    assert len(lake.readings(**PLACE, since=since, until=since + HOUR_MS).arrow()) == 30
    assert len({path for path in opened if path.endswith(".parquet")}) == 1


def test_parts_of_any_size_are_the_same(
    plant: Plant, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.archive(*(chunk(m, g) for m in range(4) for g in ("gw-1", "gw-2")))
    plant.archive(chunk(60))
    for compact in (False, True):
        whole = rows(lake.readings(**PLACE).arrow())
        assert whole == expected(plant)
        with monkeypatch.context() as patch:
            patch.setattr(plan, "BATCH_ROWS", 7)
            found = lake.readings(**PLACE)
            sizes = [len(batch) for batch in found.batches()]
            assert len(sizes) > 10 and max(sizes) <= 4 * 6 + 7
            assert rows(found.arrow()) == whole
        if not compact:
            list(plant.compact())


ACTIONS = st.lists(
    st.sampled_from(["minute", "other", "late", "step", "step", "crash", "merge"]),
    min_size=3, max_size=9,
)  # fmt: skip


@given(actions=ACTIONS, between=st.booleans())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_reading_once_whatever_happens_meanwhile(
    actions: list[str], between: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Chunks come, a compaction goes step by step, crashes and begins again; and between any two
    of these, and between the two loads of a reader, somebody reads."""
    folder = tmp_path_factory.mktemp("lake")
    place = LakeSettings(catalog_uri=f"sqlite:{folder}/catalog.db", warehouse=str(folder))
    with open_catalog(place) as catalog, Lake(open_catalog(place), place, known) as lake:
        make_tables(catalog, place)
        world = _World(Plant(catalog, place))
        world.other()
        for action in actions:
            getattr(world, action)()
            found = world.read_between(lake) if between else lake.readings(**PLACE).arrow()
            # a day that is merged comes by sensor, others by hour
            assert sorted(rows(found)) == sorted(expected(world.plant))
            times = [row for row in rows(found) if row[:2] == ("gw-1", 0)]
            assert times == sorted(times)


class _World:
    """A plant with a compaction under way."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.minutes = self.others = 0
        self.compaction: Iterator[str] = iter(())

    def minute(self) -> None:
        self.minutes += 1
        self.plant.archive(chunk(self.minutes, ticks=range(self.minutes % 2, 6)))

    def other(self) -> None:
        self.others += 1
        self.plant.archive(chunk(self.others, "gw-2"))

    def late(self) -> None:
        """What was left out of a minute, and something of it again."""
        if not self.minutes:
            self.minute()
        revision = 2
        while ("plant-07", "gw-1", T0 + MINUTE_MS, revision) in self.plant.chunks:
            revision += 1
        self.plant.archive(chunk(1, revision=revision, ticks=(0, revision)))

    def step(self) -> None:
        if next(self.compaction, None) is None:
            self.compaction = self.plant.compact()
            next(self.compaction, None)

    def crash(self) -> None:
        self.compaction = iter(())

    def merge(self) -> None:
        self.crash()  # nobody merges while somebody compacts
        if data_files(self.plant.table(READINGS)):
            self.plant.merge_day()

    def read_between(self, lake: Lake) -> pa.Table:
        """Read, and let a compaction go to its end between the loads of the two tables."""
        usual, loaded = view.load_table, []

        def load(*args: Any) -> Any:
            table = usual(*args)
            if not loaded:
                list(self.compaction)
                list(self.plant.compact())
            loaded.append(table)
            return table

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(view, "load_table", load)
            return lake.readings(**PLACE).arrow()


def test_a_question_that_makes_no_sense(lake: Lake) -> None:
    for asked, told in {
        ("facility", ""): r'"" is not a facility',
        ("facility", "plant-*"): 'give one by its name, as in "plant-07", or "\\*" for all',
        ("since", "yesterday"): '"yesterday" is no time; write 2026-12-24',
        ("quality", "goood"): 'unknown quality "goood" \\(did you mean "good"',
        ("quality", 9): 'unknown quality "9"',
        ("until", 5): "nothing is between since 2026-01-01 and until 5",
    }.items():
        with pytest.raises(Exception, match=told):
            lake.readings(**{**PLACE, "since": "2026-01-01", asked[0]: asked[1]})


def test_what_nobody_knows_the_name_of(plant: Plant) -> None:
    plant.archive(chunk(0))
    with Lake(open_catalog(plant.settings), plant.settings) as lake:
        with pytest.raises(QueryError, match=r"plant-07/gw-1 has readings .* catalogue 1 is not"):
            lake.readings(**PLACE).arrow()
        list(plant.compact())
        plant.archive(chunk(1))  # its sensors are in table readings
    with Lake(open_catalog(plant.settings), plant.settings) as lake:
        assert len(lake.readings(**PLACE, sensor="tank.level").arrow()) == 12


def test_a_damaged_chunk_and_a_file_that_is_gone(plant: Plant, lake: Lake) -> None:
    plant.archive(chunk(0))
    (file,) = data_files(plant.table(CHUNKS))
    path = Path(file.file_path.removeprefix("file://"))
    whole = path.read_bytes()
    at = whole.index(b"HIO")
    path.write_bytes(whole[:at] + b"XXX" + whole[at + 3 :])
    with pytest.raises(QueryError, match="leave its hour out"):
        lake.readings(**PLACE).arrow()
    path.unlink()
    with pytest.raises(QueryError, match="is gone: the table was maintained meanwhile"):
        lake.readings(**PLACE).arrow()


def test_a_chunk_that_the_table_holds_is_not_even_read(plant: Plant, lake: Lake) -> None:
    """As after a crash of the compaction before it removes the chunks."""
    plant.archive(chunk(0), chunk(1))
    (file,) = data_files(plant.table(CHUNKS))
    compaction = plant.compact()
    assert [next(compaction), next(compaction)] == ["rollups", "readings"]
    path = Path(file.file_path.removeprefix("file://"))
    path.write_bytes(path.read_bytes().replace(b"HIO", b"XXX"))
    assert rows(lake.readings(**PLACE).arrow()) == expected(plant)
    assert len(lake.rollups(**PLACE).arrow()) == 2 * 5


def test_rows_of_mixed_values_come_back_bit_for_bit(plant: Plant, lake: Lake) -> None:
    """Doubles, uneven times, NaN."""
    odd = chunk(0)
    values = odd.value.copy()
    values[:8] = [0.1 + 0.2, np.nan, -0.0, np.inf, 1e300, 5e-324, 1 / 3, -1.5]
    object.__setattr__(odd, "value", values)
    plant.archive(odd)
    before = lake.readings(**PLACE).arrow()["value"].to_numpy()
    assert before.tobytes() == values.tobytes()
    list(plant.compact())
    assert lake.readings(**PLACE).arrow()["value"].to_numpy().tobytes() == values.tobytes()
