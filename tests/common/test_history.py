"""History from files: long and wide, in any order that fits, as batches of one gateway."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.common import history_files
from jobs.common.history import EVER_MS, HistoryError, time_of, utc
from jobs.common.history_files import FileHistory, find_files
from udfs.batch import Batch, check
from udfs.catalogue import Catalogue

T0 = 1_700_000_000_000
Row = tuple[int, str, float]


def read(
    path: Path, from_ms: int = -EVER_MS, to_ms: int = EVER_MS, **kinds: str
) -> list[tuple[Catalogue, Batch]]:
    return list(FileHistory(path, "plant-1", "gw-1", kinds).read(from_ms, to_ms))


def rows(found: list[tuple[Catalogue, Batch]]) -> list[Row]:
    """All readings: ms since T0, sensor, value; batch by batch."""
    seen: list[Row] = []
    for catalogue, batch in found:
        check(batch, "plant-1", len(catalogue), T0 + 10**9)
        offset = 0 if batch.offset_ms is None else batch.offset_ms.astype(np.int64)
        time = np.broadcast_to(batch.time_ms - T0 + offset, batch.value.shape)
        names = [catalogue.name[slot] for slot in batch.slots()]
        seen += list(zip(time.tolist(), names, batch.value.tolist(), strict=True))
    return seen


def write(path: Path, table: dict[str, Any]) -> Path:
    pq.write_table(pa.table(table), path)
    return path


LONG = """time,sensor,value,quality,asset,kind,unit
2023-11-14T22:13:20Z,a.x,1.5,,m1,flow,l/min
2023-11-14T22:13:20Z,a.y,2.5,stuck,m1,pressure,bar
2023-11-14T22:13:21Z,a.x,,,m1,flow,l/min
2023-11-14T22:13:21.250Z,a.y,3.5,good,m1,pressure,bar
"""


@pytest.mark.parametrize("name", ["long.csv", "long.csv.gz"])
def test_a_long_csv(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(LONG.encode()) if name.endswith("gz") else LONG.encode())
    (catalogue, first), (_, second) = read(path)
    assert (catalogue.name, catalogue.unit) == (("a.x", "a.y"), ("l/min", "bar"))
    assert (catalogue.kind, catalogue.asset) == (("flow", "pressure"), ("m1", "m1"))
    assert (first.time_ms, first.value.tolist()) == (T0, [1.5, 2.5])
    assert first.quality is not None and first.quality.tolist() == [0, 3]
    assert second.offset_ms is not None and second.offset_ms.tolist() == [0, 250]
    assert np.isnan(second.value[0]) and second.good() is not None


WIDE = """datetime;Temperature;Volume Flow;Accelerometer1;note;empty
2023-11-14 22:13:20;20.5;3;0.1;ok;
2023-11-14 22:13:21;;4;0.2;;
2023-11-14 22:13:22;21.5;;0.3;ok;7
"""


def test_a_wide_csv(tmp_path: Path) -> None:
    path = tmp_path / "rig.csv"
    path.write_text(WIDE)
    found = read(path, **{"Acc*": "vibration"})
    catalogue = found[-1][0]
    assert dict(zip(catalogue.name, catalogue.kind, strict=True)) == {
        "Temperature": "temperature", "Volume Flow": "flow", "Accelerometer1": "vibration",
        "empty": "",
    }  # fmt: skip
    assert set(catalogue.asset) == {"asset"}
    assert sorted(rows(found)) == [
        (0, "Accelerometer1", 0.1), (0, "Temperature", 20.5), (0, "Volume Flow", 3.0),
        (1000, "Accelerometer1", 0.2), (1000, "Volume Flow", 4.0),
        (2000, "Accelerometer1", 0.3), (2000, "Temperature", 21.5), (2000, "empty", 7.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "time",
    [
        pa.array([T0, T0 + 1000]),
        pa.array([T0, T0 + 1000], pa.timestamp("ms")),
        pa.array([T0 * 1000, T0 * 1000 + 10**6], pa.timestamp("us", "Europe/Berlin")),
        pa.array([T0 * 10**6 + 17, T0 * 10**6 + 10**9], pa.timestamp("ns")),
        pa.array(["2023-11-14T22:13:20", "2023-11-14 22:13:21.000"]),
    ],
)
def test_times_of_all_sorts(tmp_path: Path, time: pa.Array) -> None:
    path = write(tmp_path / "a.parquet", {"time": time, "sensor": ["s", "s"], "value": [1.0, 2.0]})
    assert rows(read(path)) == [(0, "s", 1.0), (1000, "s", 2.0)]


def test_codes_of_quality_and_texts_as_dictionaries(tmp_path: Path) -> None:
    table = {
        "time": [T0, T0, T0],
        "sensor": pa.array(["a", "b", "c"]).dictionary_encode(),
        "value": pa.array([1, 2, 3], pa.float32()),
        "quality": [3, 9, None],
    }
    ((_, batch),) = read(write(tmp_path / "a.parquet", table))
    assert batch.quality is not None and batch.quality.tolist() == [3, 2, 0]


def test_only_the_span_that_is_asked_for(tmp_path: Path) -> None:
    times = T0 + np.arange(100) * 1000
    table = pa.table({"time": times, "sensor": ["s"] * 100, "value": np.arange(100.0)})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, row_group_size=10)
    found = rows(read(path, T0 + 25_000, T0 + 28_000))
    assert found == [(25_000, "s", 25.0), (26_000, "s", 26.0), (27_000, "s", 27.0)]
    assert read(path, T0 + 10**7) == []


def test_sampling_periods_are_those_of_most_readings(tmp_path: Path) -> None:
    slow = [T0 + n * 60_000 for n in range(5)] + [T0 + 10**6]
    quick = [T0 + n * 250 for n in range(20)]
    table = {
        "time": [*slow, *quick, T0],
        "sensor": ["slow"] * 6 + ["quick"] * 20 + ["once"],
        "value": [1.0] * 27,
    }
    catalogue, _ = read(write(tmp_path / "a.parquet", table))[0]
    periods = dict(zip(catalogue.name, catalogue.period_ms.tolist(), strict=True))
    assert periods == {"slow": 60_000, "quick": 250, "once": 1000}


def test_what_a_catalogue_would_say_of_sensors(tmp_path: Path) -> None:
    table = {
        "time": [T0 + n * 2000 for n in range(5)],
        "sensor": ["a", "b", "c", "d", "a"],
        "value": [1.0] * 5,
        "asset_type": ["Pump", None, "no type!", "", "fan"],
        "tags": ["line-2, critical", "b,a,b", None, "no tag!", ""],
        "period_ms": [250, None, 0, 2**40, 7],  # 0 and nothing are guessed
    }
    path = write(tmp_path / "a.parquet", table)
    catalogue, _ = read(path)[0]
    assert catalogue.name == ("a", "b", "c", "d")
    assert catalogue.asset_type == ("pump", "", "", "")
    assert catalogue.tags == ("critical,line-2", "a,b", "", "")
    assert catalogue.period_ms.tolist() == [250, 1000, 1000, 2**31 - 1]


def test_sampling_periods_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"time,sensor,value,period_ms\n{T0},a,1,500\n{T0 + 9000},a,2,\n{T0},b,3,\n")
    catalogue, _ = read(path)[0]
    assert (catalogue.name, catalogue.period_ms.tolist()) == (("a", "b"), [500, 1000])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abc"), st.integers(0, 9)), min_size=1),
    st.integers(1, 4),
)
def test_any_order_over_any_files(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[tuple[int, str, int]], files: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for number in range(files):
        part = given_rows[number::files]
        time, sensor, value = zip(*part, strict=True) if part else ((), (), ())
        write(folder / f"{number}.parquet", {
            "time": pa.array([T0 + t * 500 for t in time], pa.int64()),
            "sensor": pa.array(sensor, pa.string()), "value": pa.array(value, pa.float64()),
        })  # fmt: skip
    found = read(folder)
    assert sorted(rows(found)) == sorted((t * 500, s, float(v)) for t, s, v in given_rows)
    times = [batch.time_ms for _, batch in found]
    assert times == sorted(set(times))
    assert [batch.sequence for _, batch in found] == list(range(len(found)))


def test_files_that_follow_each_other_are_held_in_part_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_files, "HOLD_ROWS", 100)
    held: list[int] = []
    release = history_files._Held.release

    def spy(self: Any, until_ms: int) -> Any:
        held.append(self.rows)
        return release(self, until_ms)

    monkeypatch.setattr(history_files._Held, "release", spy)
    for day in range(10):
        times = T0 + (day * 60 + np.arange(60)) * 1000
        table = {"time": times, "sensor": [f"s{day}"] * 60, "value": np.arange(60.0)}
        write(tmp_path / f"{day}.parquet", table)
    found = read(tmp_path)
    assert len(found) == 600 and len(held) > 5 and max(held) <= 180
    assert [catalogue.version for catalogue, _ in found] == sorted(c.version for c, _ in found)
    last = found[-1][0]
    assert last.version > 2 and last.name == tuple(f"s{day}" for day in range(10))


def test_a_large_file_out_of_order_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_files, "HOLD_ROWS", 100)
    monkeypatch.setattr("jobs.common.history_table._BLOCK_ROWS", 50)
    times = T0 + np.tile(np.arange(300) * 1000, 2)
    table = {"time": times, "sensor": ["a"] * 300 + ["b"] * 300, "value": np.zeros(600)}
    path = write(tmp_path / "a.parquet", table)
    with pytest.raises(HistoryError, match=r"a\.parquet: a reading of 2023-11-14 22:13:20 stands "):
        read(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1,2\n", "no column of time among a, b; call it time"),
        ("time,s\n1700000000,2\n", "column time is not in milliseconds since 1970"),
        ("time,s\nx,2\n", "cannot be read"),
        ("time,s\n2023-11-14T22:13:20,x\n", "no other column of numbers"),
        ("", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(HistoryError, match=problem):
        read(path)


def test_where_no_file_is(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(HistoryError, match="no file of history there"):
        find_files(tmp_path)


def test_times_on_the_command_line() -> None:
    assert time_of("2023-11-14T22:13:20") == time_of(str(T0)) == T0
    assert time_of("2023-11-14T23:13:20+01:00") == T0
    assert utc(time_of("2023-11-14")) == "2023-11-14 00:00:00"
    assert utc(time_of("2023-11-14", end=True)) == "2023-11-15 00:00:00"
    with pytest.raises(HistoryError, match='"yesterday" is no time'):
        time_of("yesterday")
