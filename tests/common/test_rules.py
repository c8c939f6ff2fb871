"""Rule files of a job: where they are looked for, and what is told of those that are no good."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.common.rules import ROOT, RulesError, load_rules, read_files

RULE = """rules:
  - name: hot
    condition: {threshold: {above: 80}}
    severity: warning
    text: "{sensor}: {value} °C"
"""


def test_a_relative_folder_lies_in_the_project(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "vibration-high" in {rule.name for rule in load_rules(Path("flink-conf/rules"))}
    with pytest.raises(RulesError, match=r"^nowhere: no such folder; rules lie in flink-conf/"):
        load_rules(Path("nowhere"))


def test_rules_of_a_folder_in_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no rules")
    assert [rule.text for rule in load_rules(tmp_path)] == ["{sensor}: {value} °C"]


def test_an_empty_folder_has_no_rules(tmp_path: Path) -> None:
    assert load_rules(tmp_path) == []


def test_mistakes_of_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE.replace("warning", "bad"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text("rules: 7")
    with pytest.raises(RulesError) as raised:
        load_rules(tmp_path)
    assert str(raised.value).splitlines() == [
        f'{tmp_path}/a.yaml: line 4: unknown severity "bad" (known: critical, info, warning)',
        f"{tmp_path}/b.yaml: line 1: rules 7 is not a list (begin each entry with a dash)",
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE, encoding="latin-1")
    with pytest.raises(RulesError, match=r"a\.yaml: cannot be read: 'utf-8' codec"):
        load_rules(tmp_path)


def test_files_of_the_project_are_named_by_their_place_there() -> None:
    file = next((ROOT / "flink-conf" / "rules").glob("*.yaml"))
    assert list(read_files([file])) == [f"flink-conf/rules/{file.name}"]
