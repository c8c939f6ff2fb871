from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.rules import RULES, load_rules

GOOD = 'rules: [{name: a, condition: {threshold: {above: 1}}, severity: info, text: "{sensor}"}]'


def test_the_rules_of_the_cloud_come_with_the_gateway() -> None:
    assert {"vibration-critical", "no-data", "gateway-silent"} <= {r.name for r in load_rules()}
    assert RULES.parts[-2:] == ("flink-conf", "rules")


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("no rules")
    assert [rule.name for rule in load_rules(tmp_path)] == ["a"]


def test_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("info", "grave"))
    (tmp_path / "b.yaml").write_text(
        GOOD.replace("name: a", "name: b").replace("above: 1", "abov: 1")
    )
    with pytest.raises(EdgeError) as error:
        load_rules(tmp_path)
    lines = str(error.value).splitlines()
    assert len(lines) >= 2 and all(f"{tmp_path.name}/" in line for line in lines)
    assert 'unknown severity "grave"' in lines[0]


def test_a_folder_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match=r"nowhere: no such folder; copy flink-conf/rules there"):
        load_rules(tmp_path / "nowhere")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EdgeError, match="cannot be read"):
        load_rules(tmp_path)
