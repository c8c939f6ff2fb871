from pathlib import Path

import numpy as np
import pytest

from edge.errors import EdgeError
from edge.simulator.build import FleetBuilder
from edge.simulator.recordings import SHIPPED, read_recording
from edge.simulator.settings import SimulatorSettings

START_MS = 1_750_000_000_000  # a whole number of ticks of 1 s

VALVE = {"recording": "well-valve-closure", "asset": "well-001"}


def play(**changes):
    settings = SimulatorSettings(sensors=97, recordings=(VALVE | changes,))
    fleet = FleetBuilder(settings)
    return fleet.catalogues[0], fleet.gateway(0, START_MS)


def reading(batch, slot):
    found = batch.value[batch.slots() == slot]
    return float(found[0]) if len(found) else None


def series(name, sequences, **changes):
    catalogue, gateway = play(**changes)
    slot = catalogue.name.index(f"{changes.get('asset', 'well-001')}.{name}")
    return [reading(gateway.batch(n), slot) for n in sequences]


def test_the_valve_closure_as_it_was():
    pressure = series("tree-pressure", [0, 1, 480, 1200])
    assert pressure == pytest.approx([226.2961, 226.2959, 226.8909, 180.0927])
    assert series("downhole-pressure", [0]) == pytest.approx([380.436])


def test_columns_go_where_they_are_mapped():
    swapped = {"P-PDG": "tree-pressure", "P-TPT": "downhole-pressure"}
    assert series("tree-pressure", [0], sensors=swapped) == pytest.approx([380.436])
    assert series("downhole-pressure", [0], sensors=swapped) == pytest.approx([226.2961])


def test_a_dead_tag_is_silent():
    assert series("gas-lift-flow", [0, 600]) == [None, None]


def test_other_sensors_of_the_well_are_simulated():
    assert 50 < series("choke-position", [3])[0] < 65


def test_faster():
    assert series("tree-pressure", [60], speed=20) == series("tree-pressure", [1219])


def test_begins_later():
    waiting, first = series("tree-pressure", [9, 10], from_s=10)
    assert waiting is not None  # simulated until then
    assert first == pytest.approx(226.2961)


def test_starts_again_or_falls_silent():
    first, last, again = series("tree-pressure", [0, 1979, 1980])
    assert last != first == again
    assert series("tree-pressure", [1979, 1980], repeat=False) == [last, None]


def test_hourly_rows_at_their_own_speed_come_once_an_hour():
    changes = {"recording": "ambient-temperature", "asset": "hall-001"}
    assert series("ambient-temperature", [0, 1, 3599, 3600], **changes) == [
        pytest.approx((69.88083514 - 32) / 1.8),
        None,
        None,
        pytest.approx((71.22022706 - 32) / 1.8),
    ]


def test_gaps_stay_gaps():
    changes = {"recording": "ambient-temperature", "asset": "hall-001", "speed": 3600}
    recording = read_recording("ambient-temperature")
    rows = np.flatnonzero(np.diff(recording.time_ms) > 3_600_000)
    hour = int(recording.time_ms[rows[0]] // 3_600_000)
    before, gap = series("ambient-temperature", [hour, hour + 1], **changes)
    assert before is not None
    assert gap is None


def test_both_are_small_and_carry_their_licence():
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    for folder in SHIPPED.iterdir():
        assert {"LICENSE-MIT.txt", "README.md", "recording.yaml"} <= {
            p.name for p in folder.iterdir()
        }
    assert "Vargas" in (SHIPPED / "well-valve-closure" / "README.md").read_text()
    assert "CC BY 4.0" in (SHIPPED / "well-valve-closure" / "README.md").read_text()


class TestRefusals:
    def recording(self, folder: Path, rows: str, columns: str = "a: {sensor: flow, unit: m3/h}"):
        (folder / "data.csv").write_text(rows)
        (folder / "recording.yaml").write_text(
            f"title: A test.\nfile: data.csv\ncolumns:\n  {columns}\n"
        )
        return str(folder)

    def test_own_recordings_are_read(self, tmp_path):
        rows = "timestamp,a\n2024-01-01 00:00:00,1.5\n2024-01-01 00:00:02,\n"
        recording = read_recording(self.recording(tmp_path, rows))
        assert recording.time_ms.tolist() == [0, 2000]
        assert recording.value[0].tolist() == [1.5]
        assert np.isnan(recording.value[1]).all()

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("time,a\n1,2\n", "there is no column timestamp"),
            ("timestamp,a\n2024-01-01 00:00:00,1\n", "1 rows; at least 2"),
            ("timestamp,a\nyesterday,1\n", "not a readable CSV file"),
            (
                "timestamp,b\n2024-01-01 00:00:05,1\n2024-01-01 00:00:04,1\n",
                "(?s)row 2: timestamp does not ascend.*no column a",
            ),
            (
                "timestamp,a\n2024-01-01 00:00:00,x\n2024-01-01 00:00:01,y\n",
                "column a holds string, not numbers",
            ),
        ],
    )
    def test_bad_files(self, tmp_path, rows, message):
        with pytest.raises(EdgeError, match=message):
            read_recording(self.recording(tmp_path, rows))

    def test_an_unknown_name_lists_what_is_there(self):
        with pytest.raises(EdgeError, match="shipped are ambient-temperature, well-valve"):
            read_recording("well")

    def test_all_misfits_at_once(self):
        with pytest.raises(EdgeError) as caught:
            play(sensors={"P-PDG": "no-such", "P-TPT": "tree-temperature", "X": "flow"})
        where = 'recording "well-valve-closure" on plant-0001/gw-1: '
        assert str(caught.value).splitlines() == [
            where + "no column X",
            where + "there is no sensor well-001.no-such; does the facility have enough sensors?",
            where + "well-001.tree-temperature is in °C, the recording in bar",
        ]

    def test_no_such_gateway(self):
        with pytest.raises(EdgeError, match="there is no gateway plant-0009/gw-1"):
            play(facility="plant-0009")
