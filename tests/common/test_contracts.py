"""Contracts, topics and metrics as data are typed, and refused with every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.common.contracts import (
    CONTRACTS_FOLDER,
    ContractsError,
    load_contracts,
    load_metrics,
    load_topics,
)

CONTRACT = """\
contract: hardiot.word.v1
title: A word
format: json
code: []
summary: Says something.
evolution: Grows.
fields:
  - {name: text, type: string, required: true, description: What is said.}
"""

TOPIC = """\
topics:
  - name: words.<facility>
    contract: hardiot.word.v1
    owner: streaming
    writer: gateway
    readers: [somebody]
    key: gateway
    partitions: 2
    retention_h: null
    segment_h: 24
    cleanup: compact
    max_message_bytes: 1000
    compression: zstd
    why: So that there is one.
"""


def folder(tmp_path: Path, contract: str = CONTRACT, topics: str = TOPIC) -> Path:
    (tmp_path / "word.yaml").write_text(contract)
    (tmp_path / "topics.yaml").write_text(topics)
    return tmp_path


def mistakes(found: pytest.ExceptionInfo[ContractsError], path: Path) -> list[str]:
    return [line.replace(f"{path}/", "") for line in found.value.mistakes]


def test_a_contract_and_its_topic(tmp_path: Path) -> None:
    path = folder(tmp_path)
    contract = load_contracts(path)["hardiot.word.v1"]
    assert [(key.name, key.type, key.required) for key in contract.fields_] == [
        ("text", "string", True)
    ]
    (topic,) = load_topics(path)
    assert (topic.name, topic.partitions, topic.retention_h) == ("words.<facility>", 2, None)
    assert topic.is_family


def test_every_mistake_is_told_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    wrong = (
        CONTRACT.replace("title: A word", "titel: A word")
        .replace("format: json", "format: xml")
        .replace("type: string", "type: text")
    )
    path = folder(tmp_path, wrong)
    with pytest.raises(ContractsError) as found:
        load_contracts(path)
    assert mistakes(found, path) == [
        "word.yaml: line 1: title: is missing",
        "word.yaml: line 3: format: Input should be 'arrow', 'json', 'cloudevents' or 'original'; "
        "found 'xml'",
        "word.yaml: line 8: fields.0.type: Input should be 'string', 'integer', 'number', "
        "'boolean', 'ranges' or 'object'; found 'text'",
        'word.yaml: line 2: titel: unknown key "titel" (did you mean "title"?)',
    ]


def test_mistakes_of_all_files_are_told(tmp_path: Path) -> None:
    path = folder(tmp_path, CONTRACT.replace("format: json\n", ""))
    (path / "other.yaml").write_text("contract: [")
    with pytest.raises(ContractsError) as found:
        load_contracts(path)
    first, second = mistakes(found, path)
    assert first.startswith("other.yaml: not YAML: ")
    assert second == "word.yaml: line 1: format: is missing"


def test_the_same_contract_in_two_files(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "zzz.yaml").write_text(CONTRACT)
    with pytest.raises(ContractsError, match=r"zzz.yaml: hardiot.word.v1 is in another file, too"):
        load_contracts(path)


def test_a_topic_of_an_unknown_contract(tmp_path: Path) -> None:
    path = folder(tmp_path, topics=TOPIC.replace("hardiot.word.v1", "hardiot.wort.v1"))
    with pytest.raises(ContractsError) as found:
        load_topics(path)
    assert mistakes(found, path) == [
        'topics.yaml: words.<facility>: unknown contract "hardiot.wort.v1" '
        '(did you mean "hardiot.word.v1"?)'
    ]


def test_a_topic_that_is_there_twice(tmp_path: Path) -> None:
    path = folder(tmp_path, topics=TOPIC + TOPIC.replace("topics:\n", ""))
    with pytest.raises(ContractsError, match=r"words\.<facility> is there twice"):
        load_topics(path)


def test_a_metric_that_is_there_twice(tmp_path: Path) -> None:
    metric = "  - {name: up, type: gauge, unit: one, labels: [], source: flink, meaning: Is up.}\n"
    path = tmp_path / "metrics.yaml"
    path.write_text("metrics:\n" + metric)
    assert [found.name for found in load_metrics(path)] == ["up"]
    path.write_text("metrics:\n" + metric * 2)
    with pytest.raises(ContractsError, match="up is there twice"):
        load_metrics(path)


def test_a_document_that_is_no_mapping(tmp_path: Path) -> None:
    path = folder(tmp_path, "[]")
    with pytest.raises(ContractsError, match=r"word\.yaml: line 1: the document: "):
        load_contracts(path)


def test_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ContractsError, match=r"word\.yaml: line 1: the document: "):
        load_contracts(folder(tmp_path, ""))


def test_ours() -> None:
    assert sorted(load_contracts()) == [
        "hardiot.admission.v1",
        "hardiot.alert.v1",
        "hardiot.catalogue.v1",
        "hardiot.condition-event.v1",
        "hardiot.counted.v1",
        "hardiot.dead-letter.v1",
        "hardiot.edge-alert.v1",
        "hardiot.ledger.v1",
        "hardiot.pattern-match.v1",
        "hardiot.readings.v1",
        "hardiot.rollup.v1",
        "hardiot.rulebook.v1",
    ]
    assert len(load_topics()) == 15
    assert {path.stem for path in CONTRACTS_FOLDER.iterdir()} == {
        *("admission", "alert", "catalogue", "counted", "dead-letter", "edge-alert", "ledger"),
        *("readings", "rollup", "topics", "condition-event", "pattern-match", "rulebook"),
    }
