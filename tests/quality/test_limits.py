"""The suites as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.common.typed_yaml import FileMistakes
from jobs.quality.limits import FILE, SUITES, Kind, Limits, checks, load_limits, meaning

TEXT = """\
kinds:
  "*": {outside: 0.1}
  temperature: {low: -40}
facilities:
  - facility: lab-*
    why: test benches
    kinds: {temperature: {unusable: 0.5}, flow: {outside: null}}
    ledger: {unheard: null}
"""


def load(tmp_path: Path, text: str) -> Limits:
    path = tmp_path / "quality.yaml"
    path.write_text(text)
    return load_limits(path)


def test_the_file_that_comes_with_the_project_says_what_is_the_case_without_it() -> None:
    found = load_limits(FILE)
    assert found.model_copy(update={"kinds": {}}) == Limits()
    assert found.kind("temperature") == Kind()


def test_every_check_says_what_it_means_and_what_to_do() -> None:
    for suite in SUITES:
        assert checks(suite)
        for check in checks(suite):
            assert all(meaning(suite, check)), (suite, check)
    assert checks("kinds") == ["outside", "unusable"]


def test_what_a_facility_says_goes_over_its_kinds_and_these_over_all(tmp_path: Path) -> None:
    limits = load(tmp_path, TEXT)
    plant, lab = limits.of("plant-07"), limits.of("lab-1")
    assert plant.kind("temperature") == Kind(outside=0.1, low=-40)
    assert plant.kind("level") == Kind(outside=0.1)
    assert lab.kind("temperature") == Kind(outside=0.1, low=-40, unusable=0.5)
    assert lab.kind("flow") == Kind(outside=None)
    assert (plant.ledger.unheard, lab.ledger.unheard) == (0, None)
    assert lab.ledger.different_ranges == 0


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = """\
readings: {duplicate_key: 0, unordered_rows: -1}
kinds:
  temperature: {low: 5, high: 4, outside: 2}
rollups: {low_revisions: 0.5}
severity: grave
"""
    with pytest.raises(FileMistakes) as error:
        load(tmp_path, text)
    said = [line.split("quality.yaml: ")[1] for line in error.value.mistakes]
    assert [line.split(":")[0] for line in said] == [
        "line 5", "line 1", "line 1", "line 3", "line 3", "line 4",
    ]  # fmt: skip
    assert 'unknown key "duplicate_key" (did you mean "duplicate_keys"?)' in " ".join(said)
    assert "high 4 is not above low 5 (swap them, or leave one out)" in " ".join(said)
