"""Rollups from chunks, which have no row yet, and from the table, as one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from jobs.lake.commit import commit
from jobs.lake.evolve import create_or_evolve
from jobs.lake.files import write_parquet
from jobs.lake.query import Lake, QueryError, plan
from jobs.lake.tables import ROLLUPS, ROLLUPS_HOUR
from tests.lake.query_plant import MINUTE_MS, T0, Plant, catalogue, chunk, lake, plant, value
from udfs.archive.coarser import fold_minutes
from udfs.archive.rollup_rows import EDGE, rollup_rows
from udfs.archive.rollups import roll_up
from udfs.archive.schemas import ROLLUPS_SCHEMA

__all__ = ["lake", "plant"]  # fixtures

PLACE = {"facility": "plant-07"}


def keys(table: pa.Table) -> list[tuple[str, int, int, int, int]]:
    """Gateway, slot, minute, count and revision, as they come."""
    minute = [(ms - T0) // MINUTE_MS for ms in table["time"].cast(pa.int64()).to_pylist()]
    columns = [table[name].to_pylist() for name in ("gateway", "slot", "count", "revision")]
    return list(zip(columns[0], columns[1], minute, columns[2], columns[3], strict=True))


def test_a_row_a_minute_at_every_moment(plant: Plant, lake: Lake) -> None:
    plant.archive(*(chunk(m, g) for m in (0, 1) for g in ("gw-1", "gw-2")))
    wanted = {(g, slot, m, 6, 1) for g in ("gw-1", "gw-2") for slot in range(5) for m in (0, 1)}
    before = lake.rollups(**PLACE).arrow()
    assert len(keys(before)) == 20 and set(keys(before)) == wanted
    for _ in plant.compact():
        after = lake.rollups(**PLACE).arrow()
        assert len(keys(after)) == 20 and set(keys(after)) == wanted
        assert sorted(map(str, after.to_pylist())) == sorted(map(str, before.to_pylist()))


def test_what_a_row_says(plant: Plant, lake: Lake) -> None:
    plant.archive(chunk(0, ticks=(1, 2, 4)))
    found = lake.rollups(**PLACE, sensor="pump-1.heat")
    values = [float(value(1, T0 + tick * 10_000)) for tick in (1, 2, 4)]
    row = found.arrow().to_pylist()[0]
    total = 0.0
    for one in values:
        total += one
    shown = ("count", "sum", "mean", "min", "max", "first", "last")
    assert {name: row[name] for name in shown} == {
        "count": 3, "sum": total, "mean": total / 3, "min": min(values), "max": max(values),
        "first": values[0], "last": values[2],
    }  # fmt: skip
    assert (row["complete"], row["missing"], row["revision"], row["bad"]) == (False, 3, 1, 0)
    assert (row["sensor"], row["unit"], row["kind"]) == ("pump-1.heat", "°C", "temperature")
    assert (row["minutes"], row["edge"]) == (1, 0)
    assert found.schema.field("mean").metadata[b"unit"] == b"that of column unit"


def test_late_readings_are_in_when_the_minute_was_restated(plant: Plant, lake: Lake) -> None:
    plant.archive(chunk(0, ticks=(0, 1, 2)), chunk(1))
    list(plant.compact())
    plant.archive(chunk(0, revision=2, ticks=(3, 4, 5)))
    steps = [keys(lake.rollups(**PLACE, sensor="tank.level").arrow())]
    steps += [keys(lake.rollups(**PLACE, sensor="tank.level").arrow()) for _ in plant.compact()]
    old = [("gw-1", 4, 0, 3, 1), ("gw-1", 4, 1, 6, 1)]
    new = [("gw-1", 4, 0, 6, 2), ("gw-1", 4, 1, 6, 1)]
    assert steps == [old, new, new, new]  # archived; replaced, readings, removed


def test_revisions_that_are_all_still_chunks_are_one_row(plant: Plant, lake: Lake) -> None:
    plant.archive(chunk(0, ticks=(0, 1)))
    plant.archive(chunk(0, revision=2, ticks=(1, 2, 3, 4, 5)))
    found = lake.rollups(**PLACE, sensor="pump-1.flow").arrow()
    assert keys(found) == [("gw-1", 0, 0, 6, 2)]


@pytest.mark.parametrize("compacted", [False, True])
def test_longer_times(plant: Plant, lake: Lake, compacted: bool) -> None:
    for hour in range(3):
        plant.archive(*(chunk(hour * 60 + minute) for minute in (0, 14, 15, 59)))
        if compacted:
            list(plant.compact(hour=hour))
    quarters = keys(lake.rollups(**PLACE, sensor="pump-1.flow", every="15m").arrow())
    assert [row[2:4] for row in quarters] == [
        (hour * 60 + minute, count)
        for hour in range(3)
        for minute, count in ((0, 12), (15, 6), (45, 6))
    ]
    assert [row[2:4] for row in keys(lake.rollups(**PLACE, asset="tank", every="2h").arrow())] == [
        (0, 48), (120, 24),
    ]  # fmt: skip
    (day,) = lake.rollups(**PLACE, sensor="pump-2.heat", every="1d").arrow().to_pylist()
    values = [
        float(value(3, T0 + (hour * 60 + minute) * MINUTE_MS + tick * 10_000))
        for hour in range(3) for minute in (0, 14, 15, 59) for tick in range(6)
    ]  # fmt: skip
    assert (day["count"], day["minutes"], day["first"]) == (72, 12, values[0])
    assert (day["last"], day["min"], day["max"]) == (values[-1], min(values), max(values))
    assert day["sum"] == pytest.approx(sum(values), rel=1e-12)
    part = lake.rollups(**PLACE, kind="flow", since=T0 + 14 * MINUTE_MS, until=T0 + 20 * MINUTE_MS)
    assert sorted(row[1:4] for row in keys(part.arrow())) == [
        (slot, minute, 6) for slot in (0, 2) for minute in (14, 15)
    ]


def test_rows_of_the_edge_count_beside_those_of_the_cloud(plant: Plant, lake: Lake) -> None:
    """A minute of the edge does not hide that the cloud has none yet."""
    plant.archive(chunk(0, ticks=(0, 1)))
    table = plant.table(ROLLUPS)
    lost = rollup_rows(roll_up([chunk(0, ticks=(2, 3, 4))]), catalogue(), EDGE)
    commit(table, add=[write_parquet(table, lost, row_group_rows=20)])
    for _ in range(2):
        found = lake.rollups(**PLACE, sensor="pump-1.flow").arrow()
        assert sorted(zip(*(found[n].to_pylist() for n in ("edge", "count")), strict=True)) == [
            (0, 2), (1, 3),
        ]  # fmt: skip
        (hour,) = lake.rollups(**PLACE, sensor="pump-1.flow", every="1h").arrow().to_pylist()
        assert (hour["count"], hour["minutes"], hour["edge"]) == (5, 1, 1)
        list(plant.compact())


def test_prepared_hours_as_the_maintenance_made_them(plant: Plant, lake: Lake) -> None:
    create_or_evolve(plant.catalog, (plant.settings.namespace, ROLLUPS_HOUR.name), ROLLUPS_HOUR)
    plant.archive(*(chunk(minute) for minute in range(60)))
    list(plant.compact())
    rows = plant.table(ROLLUPS).scan().to_arrow().cast(ROLLUPS_SCHEMA)
    order = [(name, "ascending") for name in ("gateway", "slot", "minute", "source")]
    table = plant.table(ROLLUPS_HOUR)
    commit(table, add=[write_parquet(table, fold_minutes(rows.sort_by(order)), row_group_rows=2)])
    plant.archive(chunk(60))  # it is not in them
    asked: dict[str, Any] = {**PLACE, "kind": "flow", "every": "1h"}
    kept = lake.rollups(**asked, prepared=True).arrow()
    made = lake.rollups(**asked, until=T0 + 3_600_000).arrow()
    # sums of sums: their last bits depend on how rows lie in files
    sums, unsaid = ["sum", "sum_sq", "mean"], ["edge", "missing", "revision"]
    assert (
        kept.drop_columns(sums + unsaid).to_pylist() == made.drop_columns(sums + unsaid).to_pylist()
    )
    for name in sums:
        assert kept[name].to_pylist() == pytest.approx(made[name].to_pylist(), rel=1e-12)
    assert kept["complete"].to_pylist() == [True, True] and kept["missing"].null_count == 2
    assert len(lake.rollups(**asked).arrow()) == 4
    with pytest.raises(QueryError, match="only hours and days are prepared"):
        lake.rollups(**PLACE, every="15m", prepared=True)


def test_pieces_of_any_size_are_the_same(
    plant: Plant, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.archive(*(chunk(m, g) for m in range(3) for g in ("gw-1", "gw-2")))
    for _ in range(2):
        asked: list[dict[str, Any]] = [{}, {"every": "2m"}, {"gateway": "gw-2"}]
        whole = [lake.rollups(**PLACE, **each).arrow().to_pylist() for each in asked]
        with monkeypatch.context() as patch:
            patch.setattr(plan, "BATCH_ROWS", 2)
            assert [lake.rollups(**PLACE, **each).arrow().to_pylist() for each in asked] == whole
        list(plant.compact())
