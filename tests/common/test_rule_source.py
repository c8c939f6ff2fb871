"""A rule as it was written, out of its file and the rulebook that had its version."""

from __future__ import annotations

import pytest

from jobs.common.rule_source import in_files, in_topic
from jobs.common.rulebooks import Known
from udfs.rules.record import Rulebook, encode, record_key

FIRST = """name: hot
version: 2
sensors: {{kind: temperature}}  # all of them
condition:
  threshold: {{above: {above}}}
severity: warning
text: "{{sensor}} is hot\""""
FILE = """# of line 2
rules:
  - name: cold
    sensors: {{kind: temperature}}
    condition: {{threshold: {{below: 5}}}}
    severity: info
    text: cold

  - {first}

  - name: last
    sensors: {{kind: flow}}
    condition: {{threshold: {{below: 5}}}}
    severity: info
    text: little
"""


def file_of(above: int) -> str:
    first = FIRST.format(above=above)
    return FILE.format(first=first.replace("\n", "\n    "))


def test_between_two_others_at_the_end_and_on_one_line() -> None:
    found = in_files({"b.yaml": file_of(80), "a.yaml": "rules: []\n"}, "hot", 2)
    assert found is not None and (found.file, found.rulebook) == ("b.yaml", None)
    assert found.text == FIRST.format(above=80)
    for text in (file_of(80), file_of(80).rstrip()):
        last = in_files({"b.yaml": text}, "last", 1)
        assert last is not None and last.text.splitlines() == [
            "name: last", "sensors: {kind: flow}", "condition: {threshold: {below: 5}}",
            "severity: info", "text: little",
        ]  # fmt: skip
    flow = "rules:\n  - {name: one, version: 3,\n     text: x}\n  - {name: two}\n"
    one = in_files({"f.yaml": flow}, "one", 3)
    assert one is not None and one.text.split() == [
        "{name:",
        "one,",
        "version:",
        "3,",
        "text:",
        "x}",
    ]


@pytest.mark.parametrize("text", ["", "a: [", "rules: 5", "- name: hot", "rules: [1, 2]"])
def test_what_is_no_rule_file_has_none(text: str) -> None:
    assert in_files({"a.yaml": text}, "hot", 1) is None
    assert in_files({"a.yaml": text, "b.yaml": file_of(1)}, "hot", 2) is not None


def test_another_version_is_not_it() -> None:
    assert in_files({"b.yaml": file_of(80)}, "hot", 1) is None
    assert in_files({"b.yaml": file_of(80)}, "cold", 1) is not None


def test_the_newest_rulebook_that_has_the_version() -> None:
    known = Known()
    texts = {1: file_of(70), 2: file_of(80), 3: file_of(90).replace("version: 2", "version: 3")}
    for revision, text in texts.items():
        book = Rulebook(revision, {"b.yaml": text}, "ann", "why", 1)
        known.take(record_key(revision, "x"), encode(book))
    known.take(record_key(4, "x"), b"nonsense")
    found = in_topic(known, "hot", 2)
    assert found is not None and found.rulebook is not None
    assert (found.rulebook.revision, found.text) == (2, FIRST.format(above=80))
    assert in_topic(known, "hot", 4) is None
