"""Rulebooks on disk: whole ones come back, others are told, and no more stay than are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import rulebooks
from edge.rulebooks import PREFIX, Place, Rulebooks
from edge.rules import RuleSet
from tests.edge.rulebooks import book, rule
from udfs.rules.record import rules
from udfs.rules.rulebook import parse

FOLDER_RULES = RuleSet(parse("rules:" + rule("of-the-folder"), "own.yaml"))


def shelf(folder: Path) -> Rulebooks:
    made = Rulebooks(folder, FOLDER_RULES)
    made.load()
    return made


def keep(books: Rulebooks, revision: int, offset: int = 0) -> None:
    found = book(revision)
    books.keep(found, rules(found), Place(f"{revision:08d}/a", offset))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(PREFIX + "*"))


def names(found: RuleSet) -> list[str]:
    return [each.name for each in found.rules]


def test_without_any_the_folder_s_rules_run(tmp_path: Path) -> None:
    books = shelf(tmp_path)
    assert names(books.newest) == ["of-the-folder"] and books.newest.revision == 0
    assert books.place is None and books.refused == 0
    assert books.of(0) is FOLDER_RULES and books.of(3) is None


def test_the_newest_comes_back_with_its_place_and_its_words(tmp_path: Path) -> None:
    keep(shelf(tmp_path), 6, offset=41)
    books = shelf(tmp_path)
    assert names(books.newest) == ["of-6"] and books.place == ("00000006/a", 41)
    newest = books.newest
    assert (newest.revision, newest.author, newest.reason) == (6, "ana", "change 6")
    assert newest.created_ms == 1_750_000_000_000


def test_the_newest_is_the_last_that_was_kept_whatever_its_number(tmp_path: Path) -> None:
    books = shelf(tmp_path)
    for revision in (12, 3):
        keep(books, revision)
    assert shelf(tmp_path).newest.revision == books.newest.revision == 3
    for revision in range(20, 32):  # serials of two digits are not sorted as texts
        keep(books, revision)
    assert shelf(tmp_path).newest.revision == 31


def test_what_a_checkpoint_needs_stays_until_it_is_of_another(tmp_path: Path) -> None:
    books = shelf(tmp_path)
    keep(books, 5)
    books.settled(5)
    keep(books, 6)
    books.settled(5)  # a checkpoint between keeping and adopting
    assert names(shelf(tmp_path).of(5)) == ["of-5"] and books.newest.revision == 6
    books.settled(6)
    assert files(tmp_path) == ["rulebook.2"]
    assert shelf(tmp_path).of(5) is None and books.of(5) is None


def test_any_damage_is_told_and_what_was_before_runs(tmp_path: Path) -> None:
    books = shelf(tmp_path)
    keep(books, 5)
    keep(books, 6)
    path = tmp_path / f"{PREFIX}2"
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        found = shelf(tmp_path)
        assert (found.newest.revision, found.refused) == (5, 1), at
        assert found.why.startswith(str(path))
    path.write_bytes(whole[:-1])
    (tmp_path / f"{PREFIX}1").write_bytes(b"")
    found = shelf(tmp_path)
    assert found.newest is FOLDER_RULES and found.refused == 2
    keep(found, 7)  # takes a number that no damaged file has, and puts all right
    found.settled(7)
    assert files(tmp_path) == ["rulebook.3"] and found.why == ""


def test_rules_of_a_later_release_are_told_with_their_line(tmp_path: Path) -> None:
    books = shelf(tmp_path)
    later = book(6, text="rules:\n  - name: a\n    magic: 1\n")
    books.keep(later, [], Place("00000006/a", 0))
    found = shelf(tmp_path)
    assert found.newest is FOLDER_RULES
    assert 'plant.yaml: line 3: unknown key "magic"' in found.why


def test_a_disk_that_refuses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = shelf(tmp_path)
    keep(books, 5)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rulebooks, "replace_file", full)
    with pytest.raises(OSError):
        keep(books, 6)
    assert books.newest.revision == 5 and books.place == ("00000005/a", 0)


def test_a_write_that_was_cut_short_leaves_the_old_one(tmp_path: Path) -> None:
    keep(shelf(tmp_path), 5)
    (tmp_path / f"{PREFIX}2.new").write_bytes(b"half")
    assert shelf(tmp_path).newest.revision == 5 and shelf(tmp_path).refused == 0
