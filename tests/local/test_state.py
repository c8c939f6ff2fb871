"""The note of what runs is whole or worthless, and has one writer at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.common.errors import ClusterError
from jobs.local.process import Child
from jobs.local.state import State, load, locked, save


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    child = Child("kafka", 4711, 1_700_000_000.25, tmp_path / "kafka.out")
    state = State({"kafka": 20_001}, {"kafka": child})
    save(state, tmp_path / "state.json")
    assert load(tmp_path / "state.json") == state
    assert [file.name for file in tmp_path.iterdir()] == ["state.json"]


def test_reads_version_1(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(
        '{"version": 1, "ports": {"rest": 20002}, "children": {"jobmanager": '
        '{"pid": 12, "started": 5.5, "log": "/run/log/jobmanager.out"}}}'
    )
    child = Child("jobmanager", 12, 5.5, Path("/run/log/jobmanager.out"))
    assert load(tmp_path / "state.json") == State({"rest": 20_002}, {"jobmanager": child})


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"version": 1, "por',
        '{"version": 2, "ports": {"kafka": 1}, "children": {}}',
        '{"version": 1, "ports": {}, "children": {"kafka": {"pid": 1}}}',
        "[]",
    ],
)
def test_what_cannot_be_trusted_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert load(tmp_path / "state.json") == State()


def test_no_file_is_an_empty_state(tmp_path: Path) -> None:
    assert load(tmp_path / "state.json") == State()


def test_a_second_command_waits_and_then_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.local.state._LOCK_LIMIT_S", 0.1)
    with locked(tmp_path / "run.lock"):
        second = locked(tmp_path / "run.lock")
        with pytest.raises(ClusterError, match="another command still starts or stops"), second:
            pass
    with locked(tmp_path / "run.lock"):
        pass
