"""Corrections by hand: what is refused, what they change, and that they change it once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.compaction import commits
from jobs.lake.compaction.changes import Why
from jobs.lake.corrections import corrector
from jobs.lake.corrections.corrector import Corrections, Outlook
from jobs.lake.corrections.file import CorrectionsError, read
from jobs.lake.errors import LakeError
from jobs.lake.settings import LakeSettings
from tests.lake.compaction_plant import (
    HOUR_MS,
    T0,
    TICK_MS,
    Site,
    batch,
    batches,
    chunk,
    find,
    hour,
    readings,
    rolled_up,
    same_values,
)
from udfs.batch import Batch, Quality

SETTLED = T0 + HOUR_MS + 900_000
WHY = Why("sensor was covered", "jane", SETTLED)
HEAD = "facility,gateway,sensor,time,value,quality\n"


@pytest.fixture
def site(catalog: Catalog, lake_settings: LakeSettings) -> Site:
    """Six minutes of two gateways, compacted."""
    site = Site(catalog, lake_settings)
    site.archive(*hour(0)[:6], *hour(0, "gw-2")[:6])
    site.compactor().round(SETTLED)
    return site


def file_of(tmp_path: Path, *lines: str, head: str = HEAD) -> Path:
    path = tmp_path / "corrections.csv"
    path.write_text(head + "".join(f"{line}\n" for line in lines))
    return path


def line(minute: int, tick: int, value: float, quality: str = "", sensor: str = "p1.flow") -> str:
    """A correction of a reading on the grid."""
    time = np.datetime64(T0 + (minute * 6 + tick) * TICK_MS, "ms")
    return f"plant-07,gw-1,gw-1.{sensor},{time}Z,{value},{quality}"


def make(site: Site, path: Path) -> Outlook:
    desk = Corrections(site.catalog, site.lake)
    return desk.make(path, read(path), WHY, find, site.published.extend)


def corrected(minute: int, tick: int, value: float, quality: int) -> Batch:
    """The batch of the tick, with the correction of its first sensor."""
    one = batch(minute, tick)
    return replace(
        one, value=np.r_[value, one.value[1:]], quality=np.r_[quality, one.quality[1:]].astype("u1")
    )


def expected() -> list[Batch]:
    """All batches of gw-1, with minute 2 corrected at ticks 1 and 4."""
    fixed = {13: corrected(2, 1, 1.25, Quality.GOOD), 16: corrected(2, 4, 0.1 + 0.2, Quality.BAD)}
    return [fixed.get(one.sequence, one) for one in batches(range(6))]


LINES = (line(2, 1, 1.25), line(2, 4, 0.1 + 0.2, "bad"), line(3, 0, batch(3, 0).value[0]))


def assert_corrected(site: Site) -> None:
    assert site.readings() == readings([*expected(), *batches(range(6), "gw-2")])
    wanted = rolled_up(expected()) | rolled_up(batches(range(6), "gw-2"))
    wanted["gw-1", 2] = replace(wanted["gw-1", 2], revision=2)
    found = site.rollups()
    assert found.keys() == wanted.keys()
    assert all(same_values(found[key], wanted[key]) for key in wanted)
    (row,) = site.audit()
    assert (row["sensor"], row["author"], row["reason"]) == (
        "gw-1.p1.flow", "jane", "sensor was covered",
    )  # fmt: skip
    assert (row["count_before"], row["count_after"], row["bad_after"]) == (6, 5, 1)
    assert json.loads(str(row["readings"])) == [
        [T0 + 130_000, batch(2, 1).value[0], 0, 1.25, 0],
        [T0 + 160_000, batch(2, 4).value[0], 0, 0.1 + 0.2, 2],
    ]
    last = {(r.minute_ms - T0) // 60_000: r for r in site.published}
    assert same_values(last[2], wanted["gw-1", 2]) and last[2].catalogue == 1
    assert same_values(last[3], wanted["gw-1", 3])


def test_a_look_changes_nothing(site: Site, tmp_path: Path) -> None:
    before = site.snapshots()
    path = file_of(tmp_path, *LINES)
    outlook = Corrections(site.catalog, site.lake).look(path, read(path))
    assert outlook == Outlook(readings=2, sensor_minutes=1, gateway_minutes=1)
    assert site.snapshots() == before


def test_they_are_made_once(site: Site, tmp_path: Path) -> None:
    path = file_of(tmp_path, *LINES)
    assert make(site, path) == Outlook(readings=2, sensor_minutes=1, gateway_minutes=1)
    assert_corrected(site)
    before = site.snapshots()
    assert make(site, path) == Outlook()
    assert site.snapshots() == before
    assert_corrected(site)


def test_late_readings_after_a_correction(site: Site, tmp_path: Path) -> None:
    """The revision of a chunk is not that of a row: what comes late still counts."""
    make(site, file_of(tmp_path, *LINES))
    site.archive(chunk(6, ticks=(0, 1, 2, 3, 5), complete=False))
    site.compactor().round(SETTLED)
    make(site, file_of(tmp_path, line(6, 0, 5.0)))
    site.archive(chunk(6, ticks=(4,), revision=2))
    assert site.compactor().round(SETTLED).restated == 3
    found = site.rollups()["gw-1", 6]
    assert (found.revision, found.count[0], found.complete) == (3, 6, True)
    assert found.first[0] == 5.0


@pytest.mark.parametrize("number", range(4))
def test_who_was_interrupted_makes_it_again(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path, left = file_of(tmp_path, *LINES), [number]

    def step(run: Callable[..., object]) -> Callable[..., None]:
        def stepped(*arguments: object, **more: object) -> None:
            if left[0] == 0:
                raise Crash
            left[0] -= 1
            run(*arguments, **more)

        return stepped

    with monkeypatch.context() as patched:
        for module in (commits, corrector):
            patched.setattr(module, "commit", step(module.commit))
        desk = Corrections(site.catalog, site.lake)
        with pytest.raises(Crash):  # audit, readings, rollups, topic
            desk.make(path, read(path), WHY, find, step(site.published.extend))
    make(site, path)
    assert_corrected(site)


class Crash(BaseException):
    """Not an error that anybody may catch."""


def test_parquet_with_typed_columns(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "corrections.parquet"
    times = [T0 + 130_000, T0 + 160_000]
    pq.write_table(
        pa.table(
            {"facility": ["plant-07"] * 2, "gateway": ["gw-1"] * 2, "sensor": ["gw-1.p1.flow"] * 2,
             "time": pa.array(times, pa.timestamp("ms", "UTC")), "value": [1.25, 0.1 + 0.2],
             "quality": [None, "BAD"]}
        ),
        path,
    )  # fmt: skip
    assert make(site, path).readings == 2
    assert site.readings() == readings([*expected(), *batches(range(6), "gw-2")])


# -- what is refused


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        "Plant 7,gw-1,s,2026-01-01T00:00:00Z,1,",
        "plant-07,gw-1,s,2026-01-01T00:00:00,1,",
        "plant-07,gw-1,s,2026-01-01T00:00:00Z,abc,",
        "plant-07,gw-1,s,2026-01-01T00:00:00Z",
        "plant-07,gw-1,s,2026-01-01T00:00:00Z,nan,",
        "plant-07,gw-1,s,2026-01-01T00:00:00Z,1,fine",
        "plant-07,gw-1,,2026-01-01T00:00:00Z,1,GOOD",
    )
    with pytest.raises(CorrectionsError) as error:
        read(path)
    assert str(error.value).splitlines() == [
        f'{path}: line 2: facility "Plant 7" is none; use a-z, 0-9 and -, at most 63',
        f'{path}: line 3: time "2026-01-01T00:00:00" is none; write it as 2026-11-25T08:00:00Z or '
        "with an offset like +01:00, to the ms at most",
        f'{path}: line 4: value "abc" is none; write a number, as 21.37',
        f"{path}: line 5: 4 cells; it has 6 columns: one comma too few or too many",
        f'{path}: line 6: value "nan" is none; write a number, as 21.37',
        f'{path}: line 7: quality "fine" is none; write one of good, uncertain, bad, stuck, '
        "clock_repaired",
        f'{path}: line 8: sensor "" is none; name one',
    ]


def test_a_reading_is_corrected_once(tmp_path: Path) -> None:
    path = file_of(tmp_path, line(2, 1, 1), line(2, 2, 1), line(2, 1, 2))
    with pytest.raises(CorrectionsError, match=r"line 4: the reading of line 2 once more"):
        read(path)


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("facility,gateway,sensor,zeit,value\n", "missing: time, unknown: zeit; they are facility"),
        ("facility,gateway,sensor,time,value\n", "there are no corrections in it"),
    ],
)
def test_columns_and_rows_must_be_there(tmp_path: Path, head: str, said: str) -> None:
    with pytest.raises(CorrectionsError) as error:
        read(file_of(tmp_path, head=head))
    assert said in str(error.value)


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="cannot be read"):
        read(tmp_path / "absent.csv")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(LakeError, match=r"bad\.parquet: cannot be read"):
        read(tmp_path / "bad.parquet")


def test_all_readings_that_are_not_there_at_once(site: Site, tmp_path: Path) -> None:
    site.archive(chunk(6))
    path = file_of(
        tmp_path,
        "plant-07,gw-1,gw-1.p1.flow,2026-01-01T00:00:01Z,1,",
        "plant-07,gw-1,gw-1.p1.flaw,2026-01-01T00:00:00Z,1,",
        "plant-07,gw-9,gw-1.p1.flow,2026-01-01T00:00:00Z,1,",
        line(6, 0, 1),
        line(0, 0, 1),
    )
    before = site.snapshots()
    with pytest.raises(CorrectionsError) as error:
        make(site, path)
    assert str(error.value).splitlines() == [
        f"{path}: line 2: no reading at that time; one that is there is at "
        "2026-01-01T00:00:00.000Z",
        f'{path}: line 3: plant-07/gw-1 has no readings of sensor "gw-1.p1.flaw" in that hour; '
        'did you mean "gw-1.p1.flow"?',
        f"{path}: line 4: plant-07/gw-9 has no readings in that hour; "
        "look at facility, gateway and time",
        f"{path}: line 5: its minute is not compacted yet; try again in a while",
    ]
    assert site.snapshots() == before
