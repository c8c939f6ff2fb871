"""Following topic `rules`, with a topic that the test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import rulebooks
from edge.rulebooks import Rulebooks
from edge.rules import RuleSet
from edge.uplink import rules as following
from edge.uplink.rules import Follower
from edge.uplink.rules_topic import Item, Seen
from tests.edge.rulebooks import record, rule
from udfs.rules.record import Rulebook, encode, record_key


class FakeTopic:
    """A topic as Kafka gives it: its records, then its end, then nothing until more come."""

    def __init__(self) -> None:
        self.log: list[Item] = []
        self.begins: list[int | None] = []
        self.trouble = ""
        self.down = False
        self._next = 0
        self._end_due = True

    def push(self, key: str, value: bytes | None) -> None:
        self.log.append(Item(key, value, len(self.log)))
        self._end_due = True

    def begin(self, offset: int | None) -> None:
        self.begins.append(offset)
        # out of range: from the earliest, as the consumer is told
        self._next = offset if offset is not None and offset <= len(self.log) else 0
        self._end_due = True

    def look(self, wait_s: float) -> Seen:
        if self.trouble:
            return Seen(trouble=self.trouble, detail="no")
        if self.down:
            return Seen()
        if self._next < len(self.log):
            self._next += 1
            return Seen(self.log[self._next - 1])
        ended, self._end_due = self._end_due, False
        return Seen(at_end=ended)

    def close(self) -> None:
        pass


class Rig:
    """A topic, a folder and a follower, which may begin again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.topic = folder, FakeTopic()
        self.start()

    def start(self) -> None:
        self.books = Rulebooks(self.folder, RuleSet([]))
        self.books.load()
        self.follower = Follower(self.topic, self.books, self._tried)
        self.unusable = ""

    def _tried(self, rules: object) -> None:
        if self.unusable:
            raise KeyError(self.unusable)

    def push(self, revision: int, *entries: str, ident: str = "a") -> None:
        self.topic.push(*record(revision, *entries, ident=ident))

    def turn(self) -> RuleSet | None:
        """Until nothing more comes. Returns: the offer, if it is a new one."""
        before = self.follower.offer
        for _ in range(2 * len(self.topic.log) + 4):
            self.follower.step()
        return None if self.follower.offer is before else self.follower.offer

    def make_anew(self, *revisions: int) -> None:
        """Another topic under the same name."""
        self.topic.log.clear()
        self.topic.begin(None)
        for revision in revisions:
            self.push(revision, ident="other")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_an_empty_topic_changes_nothing(rig: Rig) -> None:
    assert rig.turn() is None
    assert rig.books.newest.revision == 0 and rig.books.offered == 0


def test_of_all_that_is_there_only_the_newest_is_used(rig: Rig) -> None:
    for revision in (1, 2, 3):
        rig.push(revision)
    found = rig.turn()
    assert found is not None and found.revision == 3
    assert [each.name for each in found.rules] == ["of-3"]
    assert rig.books.newest is found and rig.books.place == ("00000003/a", 2)
    assert [path.name for path in rig.folder.iterdir()] == ["rulebook.1"]


def test_what_is_pushed_later_is_offered_once(rig: Rig) -> None:
    rig.push(1)
    assert rig.turn().revision == 1
    assert rig.turn() is None
    rig.push(2)
    assert rig.turn().revision == 2
    assert rig.turn() is None


def test_the_first_record_of_a_revision_counts(rig: Rig) -> None:
    rig.push(4, rule("first"), ident="x")
    rig.push(4, rule("second"), ident="y")
    assert [each.name for each in rig.turn().rules] == ["first"]
    rig.push(4, rule("third"), ident="z")
    assert rig.turn() is None
    rig.start()
    assert rig.turn() is None and rig.books.place.key == "00000004/x"


def bad_records() -> dict[str, tuple[str, bytes]]:
    mistaken = Rulebook(9, {"a.yaml": "rules: [{name: a, severity: grave}]"}, "a", "b", 1)
    return {
        "not JSON": (record_key(9, "a"), b"{"),
        "wrong sum": (record_key(9, "a"), record(9)[1].replace(b"of-9", b"of-8")),
        "another number": (record_key(9, "a"), record(8)[1]),
        "mistakes": (record_key(9, "a"), encode(mistaken)),
        "no key": ("nine", record(9)[1]),
    }


@pytest.mark.parametrize("name", bad_records())
def test_a_bad_one_changes_nothing_and_is_counted_with_its_reason(rig: Rig, name: str) -> None:
    rig.push(1)
    rig.turn()
    rig.topic.push(*bad_records()[name])
    assert rig.turn() is None
    assert rig.books.newest.revision == 1 and rig.books.refused == 1
    assert rig.books.why
    if name == "mistakes":
        assert rig.books.why.startswith("revision 9: a.yaml: line 1: ")
    rig.push(10)
    assert rig.turn().revision == 10
    assert rig.books.why == "" and rig.books.refused == 1 and rig.books.offered == 10


def test_a_new_gateway_takes_the_newest_good_one(rig: Rig) -> None:
    rig.push(1)
    rig.push(2)
    rig.topic.push(*bad_records()["mistakes"])
    assert rig.turn().revision == 2
    assert rig.books.refused == 1 and rig.books.offered == 9


def test_one_that_does_not_fit_this_gateway_changes_nothing(rig: Rig) -> None:
    rig.push(1)
    rig.turn()
    rig.unusable = "no such asset"
    rig.push(2)
    assert rig.turn() is None
    assert rig.books.newest.revision == 1 and "revision 2: cannot be used here" in rig.books.why


def test_during_an_outage_nothing_and_the_newest_after_it(rig: Rig) -> None:
    rig.push(1)
    rig.turn()
    rig.topic.down = True
    for revision in (2, 3, 4):
        rig.push(revision)
    assert rig.turn() is None
    rig.topic.down = False
    assert rig.turn().revision == 4
    assert rig.follower.trouble == ""


def test_a_start_goes_on_at_its_own_record(rig: Rig) -> None:
    for revision in (1, 2, 3):
        rig.push(revision)
    rig.turn()
    rig.push(4)
    rig.start()
    assert rig.topic.begins[-1] == 2
    assert rig.books.newest.revision == 3
    assert rig.turn().revision == 4
    rig.start()
    assert rig.turn() is None and rig.books.offered == 4


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("revisions", [[], [1], [1, 2, 3, 4]])
def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    rig: Rig, revisions: list[int], running: bool
) -> None:
    for revision in (7, 8, 9):
        rig.push(revision)
    rig.turn()
    if not running:
        rig.start()
    rig.make_anew(*revisions)
    found = rig.turn()
    if revisions:
        assert found is not None and found.revision == revisions[-1] == rig.books.offered
        rig.start()
        assert rig.books.newest.revision == revisions[-1]
    else:
        assert found is None and rig.books.newest.revision == 9


def test_what_is_deleted_does_not_come_back(rig: Rig) -> None:
    rig.push(1)
    rig.push(2)
    rig.topic.push(record_key(2, "a"), None)
    assert rig.turn().revision == 1


def test_trouble_is_counted_and_told_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(following.log, "warning", lambda event, **more: told.append(event))
    rig.topic.trouble = "not_allowed"
    for _ in range(5):
        rig.follower.step()
    assert rig.follower.troubles == {"no_topic": 0, "not_allowed": 5}
    assert rig.follower.trouble == "not_allowed" and told == ["rules_topic_unreadable"]
    rig.topic.trouble = ""
    rig.push(1)
    assert rig.turn().revision == 1 and rig.follower.trouble == ""
    assert told == ["rules_topic_unreadable"]


def test_a_disk_that_refuses_is_asked_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.push(1)
    rig.turn()
    now = [100.0]
    monkeypatch.setattr(following.time, "monotonic", lambda: now[0])
    write, full = rulebooks.replace_file, [True]

    def replace(path: Path, data: bytes) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(rulebooks, "replace_file", replace)
    rig.push(2)
    assert rig.turn() is None
    assert rig.books.why == "cannot be written: No space left on device"
    assert rig.books.newest.revision == 1
    full[0] = False
    assert rig.turn() is None  # not yet
    now[0] += 31
    assert rig.turn().revision == 2
