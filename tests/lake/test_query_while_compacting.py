"""A reader beside the real compaction: the same before and after each of its commits, and after a
crash at any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.catalog import open_catalog
from jobs.lake.compaction import commits
from jobs.lake.compaction.compactor import Compactor, Limits
from jobs.lake.files import data_files
from jobs.lake.query import Lake
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS
from tests.lake.query_plant import HOUR_MS, MINUTE_MS, T0, Plant, catalogue, chunk, known
from udfs.rollup import MinuteRollup

PLACE = {"facility": "plant-07"}
NOW_MS = T0 + 24 * HOUR_MS


class Crash(Exception):
    """Stands for kill -9: nothing of the compactor goes on."""


@pytest.fixture
def plant(catalog: Catalog, lake_settings: LakeSettings) -> Plant:
    return Plant(catalog, lake_settings)


def compactor(plant: Plant) -> Compactor:
    def publish(rollups: Sequence[MinuteRollup]) -> None:
        pass

    return Compactor(plant.catalog, plant.settings, known, publish, Limits())


def seen(lake: Lake) -> tuple[list[Any], list[Any]]:
    """All readings, and the gateway, slot and time of all rollups."""
    rows = lake.readings(**PLACE).arrow().select(["gateway", "slot", "time", "value"])
    keys = lake.rollups(**PLACE).arrow().select(["gateway", "slot", "time"])
    return _sorted(rows), _sorted(keys)


def _sorted(table: pa.Table) -> list[Any]:
    return sorted(tuple(row.values()) for row in table.to_pylist())


@pytest.mark.parametrize("crash_before", [None, 1, 2, 3, 4, 5])
def test_nothing_twice_and_nothing_missing(
    plant: Plant, crash_before: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.archive(*(chunk(m, g, ticks=(0, 1, 3)) for m in (0, 1) for g in ("gw-1", "gw-2")))
    compactor(plant).round(NOW_MS)
    plant.archive(chunk(2), chunk(1, revision=2, ticks=(2, 3)))  # one late, and a repeat in it
    assert catalogue().version == 1
    usual, count = commits.commit, 0
    with Lake(open_catalog(plant.settings), plant.settings, known) as lake:
        readings, keys = seen(lake)
        assert len(readings) == 5 * (4 * 3 + 6 + 1) and len(keys) == 5 * 5

        def commit(*args: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == crash_before:
                raise Crash
            done = usual(*args, **more)
            assert seen(lake) == (readings, keys)
            return done

        monkeypatch.setattr(commits, "commit", commit)
        try:
            compactor(plant).round(NOW_MS)
        except Crash:
            assert seen(lake) == (readings, keys)
            compactor(plant).round(NOW_MS)
        assert data_files(plant.table(CHUNKS)) == [] and count >= 4
        assert seen(lake) == (readings, keys)
        minute = {"since": T0 + MINUTE_MS, "until": T0 + 2 * MINUTE_MS}
        restated = lake.rollups(**PLACE, **minute, gateway="gw-1", sensor="tank.level").arrow()
        assert restated["count"].to_pylist() == [4]
