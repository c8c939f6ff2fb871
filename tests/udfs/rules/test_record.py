"""A rulebook as one record: what is read back, and what is refused with which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.rules import record
from udfs.rules.record import Rulebook, decode, encode, files_sum, record_key, revision_of, rules
from udfs.rules.rulebook import RuleErrors

HOT = """rules:
  - name: hot
    condition: {threshold: {above: 80}}
    severity: warning
    text: "{sensor} is hot"
"""
BOOK = Rulebook(7, {"plant.yaml": HOT}, "maria", "new limits", 1_767_312_000_000)


def changed(**fields: Any) -> bytes:
    """The record of BOOK with other fields; None takes one away."""
    found = json.loads(encode(BOOK)) | fields
    return json.dumps({name: value for name, value in found.items() if value is not None}).encode()


def test_a_rulebook_comes_back_as_it_was() -> None:
    assert decode(encode(BOOK)) == BOOK
    assert [rule.key for rule in rules(BOOK)] == ["hot@1"]


def test_mistakes_of_its_rules_have_file_and_line() -> None:
    bad = Rulebook(7, {"plant.yaml": HOT.replace("above", "abov")}, "m", "r", 1)
    with pytest.raises(RuleErrors, match=r'plant.yaml: line 3: unknown key "abov" \(did you mean'):
        rules(decode(encode(bad)))


@given(
    st.integers(1, 2**53 - 1),
    st.dictionaries(
        st.from_regex(r"[a-z0-9_][a-z._-]{0,9}\.yaml", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"])),
        min_size=1,
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
)
def test_any_rulebook_comes_back(revision: int, files: dict[str, str], words: str) -> None:
    book = Rulebook(revision, files, words, words, 1)
    assert decode(encode(book)) == book


def test_the_sum_does_not_depend_on_the_order_of_files() -> None:
    assert files_sum({"b.yaml": "2", "a.yaml": "1"}) == files_sum({"a.yaml": "1", "b.yaml": "2"})
    assert files_sum({"a.yaml": "ä"}) == (
        "453d7e38e6bcc274c6583de89a113dd1280c361e93d683b83da2257dffb12a5b"
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"rules: []", "not a rulebook: Expecting value"),
        (b"[" * 100_000, "not a rulebook: "),
        (b"\xff", "not a rulebook: "),
        (b"[]", "not a rulebook: no JSON object"),
        (changed(contract="hardiot.rulebook.v2"), "'hardiot.rulebook.v2'; this reader knows"),
        (changed(files=None), "not a rulebook: 'files' is missing"),
        (changed(files={}), "files is not an object with a text for each file"),
        (changed(files={"../a.yaml": ""}), r"file name '../a.yaml': letters, digits"),
        (changed(files={"a.yaml": 1}), "file a.yaml is not a text"),
        (changed(files={"plant.yaml": HOT + " "}), "sha256 is not that of its files"),
        (changed(files={"plant.yaml": "\ud800"}), "surrogates not allowed"),
        (changed(revision=0), "revision 0 is not a whole number from 1"),
        (changed(revision=True), "revision True is not a whole number from 1"),
        (changed(revision="7"), "revision '7' is not a whole number from 1"),
        (changed(author=3), "author 3 is not a text"),
    ],
)
def test_what_is_no_rulebook_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode(data)


def test_a_rulebook_that_is_too_large_is_refused_on_both_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode(BOOK)
    monkeypatch.setattr(record, "MAX_RULEBOOK_BYTES", len(data) - 1)
    with pytest.raises(ValueError, match=rf"{len(data)} bytes, at most {len(data) - 1}"):
        decode(data)
    with pytest.raises(ValueError, match="at most"):
        encode(BOOK)


def test_fields_of_a_later_writer_are_passed_over() -> None:
    assert decode(changed(signature="abc")) == BOOK


def test_keys() -> None:
    assert record_key(7, "a-1") == "00000007/a-1"
    assert revision_of("00000007/a-1") == 7
    for key in ("7/a", "00000000/a", "00000007", "0000000x/a", "00000007/", "00000007/a/b", ""):
        with pytest.raises(ValueError, match="is not <revision of 8 digits>/<id>"):
            revision_of(key)
