"""Which of the records in topic `rules` counts, whatever came in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.udfs.rules.test_record import HOT
from udfs.rules import shelf as module
from udfs.rules.record import Rulebook, encode, record_key
from udfs.rules.shelf import Shelf


def value(revision: int, author: str = "a", text: str = HOT) -> bytes:
    return encode(Rulebook(revision, {"plant.yaml": text}, author, "why", 1))


def filled(*records: tuple[int, str, bytes | None]) -> Shelf:
    shelf = Shelf()
    for revision, ident, data in records:
        shelf.take(record_key(revision, ident), data)
    return shelf


def test_the_newest_good_one_is_in_use() -> None:
    shelf = filled((1, "a", value(1)), (2, "b", value(2)))
    edition = shelf.newest()
    assert edition is not None and edition.rulebook.revision == 2
    assert [rule.name for rule in edition.rules] == ["hot"]
    assert (shelf.revision, shelf.refused, shelf.last) == (2, [], 2)
    assert shelf.newest() is None
    shelf.take(record_key(1, "a"), value(1))
    assert shelf.newest() is None


def test_an_empty_topic_gives_none() -> None:
    assert Shelf().newest() is None


def test_a_bad_one_changes_nothing_and_is_told_until_a_good_one_comes() -> None:
    shelf = filled((1, "a", value(1)), (2, "b", value(2, text="rules: [{}]")), (3, "c", b"rubbish"))
    edition = shelf.newest()
    assert edition is not None and edition.rulebook.revision == 1
    assert [line.split("\n")[0] for line in shelf.refused] == [
        "revision 3: not a rulebook: Expecting value: line 1 column 1 (char 0)",
        'revision 2: plant.yaml: line 1: "condition" is missing '
        "(add condition:, or events: and pattern:)",
    ]
    shelf.take("no key", value(4))
    assert shelf.newest() is None
    assert shelf.refused[2] == "key 'no key' is not <revision of 8 digits>/<id>"
    # the number of the bad one is taken: a good one needs its own
    shelf.take(record_key(3, "d"), value(3))
    assert shelf.newest() is None and shelf.last == 3
    shelf.take(record_key(4, "e"), value(4))
    assert shelf.newest() is not None and (shelf.revision, shelf.refused) == (4, [])


def test_an_unforeseen_error_of_a_rulebook_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Rulebook) -> None:
        raise KeyError("oops")

    shelf = filled((1, "a", value(1)))
    monkeypatch.setattr(module, "rules", fails)
    assert shelf.newest() is None and shelf.refused == ["revision 1: 'oops'"]


def test_a_key_that_does_not_say_what_its_record_says_is_refused() -> None:
    shelf = filled((9, "a", value(1)))
    assert shelf.newest() is None
    assert shelf.refused == ["revision 9: not a rulebook: its key says revision 9, it says 1"]


def test_of_two_with_one_number_the_first_counts_even_after_deletions() -> None:
    shelf = filled((1, "a", value(1, "first")), (1, "b", value(1, "second")))
    edition = shelf.newest()
    assert edition is not None and edition.rulebook.author == "first"
    shelf.take(record_key(1, "a"), None)
    shelf.take(record_key(1, "b"), value(1, "second"))
    assert shelf.revisions() == [] and shelf.newest() is None
    assert shelf.revision == 1  # what is in use stays in use
    with pytest.raises(KeyError):
        shelf.rulebook(1)


def test_the_oldest_are_forgotten_and_the_newest_never() -> None:
    shelf = Shelf(max_bytes=1)
    for revision in (2, 1, 3):
        shelf.take(record_key(revision, "a"), value(revision))
    assert shelf.revisions() == [3] and shelf.newest() is not None


RECORDS = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from(["good", "bad", "look", "prune"])), max_size=12
)


@given(RECORDS)
def test_whenever_one_looks_it_ends_with_what_a_late_reader_finds(
    records: list[tuple[int, str]],
) -> None:
    """Keys are never used again, and what is deleted is older than what is in use."""
    early, sent = Shelf(), list[tuple[int, str, bytes | None]]()
    for number, (revision, kind) in enumerate(records):
        new: list[tuple[int, str, bytes | None]] = []
        if kind == "look":
            early.newest()
        elif kind == "prune":
            new = [(old, ident, None) for old, ident, _ in sent if old < early.revision]
        else:
            new = [(revision, f"{number}", value(revision) if kind == "good" else b"{}")]
        for each, ident, data in new:
            early.take(record_key(each, ident), data)
        sent += new
    late = filled(*sent)
    compacted = filled(*{(number, ident): (number, ident, data) for number, ident, data in sent}
                       .values())  # fmt: skip
    for shelf in (early, late, compacted):
        shelf.newest()
    assert early.revision == late.revision == compacted.revision
