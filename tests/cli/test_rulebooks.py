"""hardiot rules push, list, history, rollback, with a topic that is a list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from jobs.cli import rulebooks as command
from jobs.common import rulebooks
from jobs.common.rulebooks import KEPT
from jobs.common.tail import Message
from tests.cli.messages import FakeTail
from udfs.rules.record import Rulebook, decode, encode, record_key

ONE = """rules:
  - name: {name}
    version: {version}
    sensors: {{kind: temperature, name: "*.bearing"}}
    condition: {{threshold: {{above: {above}}}}}
    severity: warning
    text: "{{sensor}} is hot"
"""

app = typer.Typer()
for name, function in {
    "push": command.push,
    "rollback": command.rollback,
    "list": command.list_rules,
    "history": command.history,
}.items():
    app.command(name)(function)


def rule(name: str = "hot", above: int = 80, version: int = 1) -> str:
    return ONE.format(name=name, above=above, version=version)


class Topic:
    """Topic `rules`. rival: writes a record just before the next one."""

    def __init__(self) -> None:
        FakeTail.stock = []
        self.rival: bytes | None = None

    def write(self, bootstrap: str, records: list[tuple[str, bytes | None]]) -> None:
        assert bootstrap == "kafka:1"
        if self.rival is not None:
            (key, _), *_ = records
            self.put(key.split("/")[0] + "/rival", self.rival)
            self.rival = None
        for key, value in records:
            self.put(key, value)

    def put(self, key: str, value: bytes | None) -> None:
        FakeTail.stock.append(Message("rules", key, value or b"", {}, 0.0))

    def has(self, revision: int, *texts: str, author: str = "a") -> None:
        files = {f"{number}.yaml": text for number, text in enumerate(texts)}
        book = Rulebook(revision, files, author, f"reason {revision}", 1_767_312_000_000)
        self.put(record_key(revision, f"{revision}"), encode(book))

    @property
    def books(self) -> list[Rulebook]:
        values = [message.value for message in FakeTail.stock]
        return [decode(value) for value in values if value.startswith(b"{")]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    made = Topic()
    monkeypatch.setattr(rulebooks, "Tail", FakeTail)
    monkeypatch.setattr(rulebooks, "write", made.write)
    monkeypatch.setattr(command, "ensure_topics", lambda bootstrap, facilities: [])
    monkeypatch.setattr(command.getpass, "getuser", lambda: "maria")
    return made


def run(*args: Any) -> Result:
    return CliRunner().invoke(app, [*map(str, args), "--bootstrap", "kafka:1"])


def folder(place: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (place / f"{name}.yaml").write_text(text)
    return place


def test_a_first_push(topic: Topic, tmp_path: Path) -> None:
    made = folder(tmp_path, plant=rule("hot"), pumps=rule("cold"))
    result = run("push", made, "--reason", "first")
    assert (result.exit_code, result.stdout) == (0, "+ cold\n+ hot\n")
    assert result.stderr == "revision 1: 2 rules (+2 ~0 -0)\n"
    (book,) = topic.books
    assert (book.revision, book.author, book.reason) == (1, "maria", "first")
    assert book.files == {"plant.yaml": rule("hot"), "pumps.yaml": rule("cold")}


def test_what_changes_is_shown_and_a_missing_version_warned_about(
    topic: Topic, tmp_path: Path
) -> None:
    topic.has(6, rule("gone") + rule("hot")[7:] + rule("cold")[7:] + rule("same")[7:])
    text = rule("hot", 90) + rule("cold", 90, 2)[7:] + rule("same")[7:] + rule("new")[7:]
    result = run("push", folder(tmp_path, a=text), "-m", "why", "--author", "otto")
    assert result.exit_code == 0
    assert result.stdout == "+ new\n~ cold version 1 -> 2\n~ hot same version\n- gone\n"
    assert result.stderr.splitlines() == [
        "warning: hot finds other things than before, and its version is 1 still: what fires and "
        "was learned goes on (version: 2 begins anew)",
        "revision 7: 4 rules (+1 ~2 -1)",
    ]
    assert topic.books[-1].author == "otto"


def test_the_same_as_json(topic: Topic, tmp_path: Path) -> None:
    topic.has(1, rule("hot"))
    made = folder(tmp_path, a=rule("hot", 90, 2))
    found = json.loads(run("push", made, "-m", "x", "-o", "json").stdout)
    del found["sha256"]
    assert found == {
        "revision": 2, "added": [], "changed": {"hot": [1, 2]}, "removed": [], "warnings": [],
    }  # fmt: skip


def test_a_new_text_needs_no_new_version(topic: Topic, tmp_path: Path) -> None:
    topic.has(1, rule("hot"))
    result = run("push", folder(tmp_path, a=rule("hot").replace("is hot", "burns")), "-m", "x")
    assert result.stdout == "~ hot same version\n" and "warning" not in result.stderr


def test_a_dry_run_writes_nothing(topic: Topic, tmp_path: Path) -> None:
    result = run("push", folder(tmp_path, a=rule()), "-m", "x", "--dry-run")
    assert (result.exit_code, result.stdout, topic.books) == (0, "+ hot\n", [])
    assert result.stderr == "1 rules (+1 ~0 -0); nothing was pushed\n"


def test_the_same_files_are_not_pushed_again(topic: Topic, tmp_path: Path) -> None:
    made = folder(tmp_path, a=rule())
    assert run("push", made, "-m", "x").exit_code == 0
    result = run("push", made, "-m", "x")
    assert (result.exit_code, len(topic.books)) == (0, 1)
    assert result.stderr == "revision 1 has these rules; nothing was pushed\n"


def test_mistakes_are_told_with_file_line_and_fix(topic: Topic, tmp_path: Path) -> None:
    made = folder(tmp_path, a=rule().replace("severity: warning", "severity: bad"))
    result = run("push", made, "-m", "x")
    assert result.exit_code == 1 and topic.books == []
    assert str(result.exception) == (
        f'{made}/a.yaml: line 6: unknown severity "bad" (known: critical, info, warning)'
    )


def test_failing_tests_of_rules_stop_it(topic: Topic, tmp_path: Path) -> None:
    tests = """    tests:
      - name: it fires
        readings: {"m.bearing": [50, 90]}
        expect: []
"""
    result = run("push", folder(tmp_path, a=rule() + tests), "-m", "x")
    assert result.exit_code == 1 and topic.books == []
    assert "FAILED  hot: it fires" in result.stderr
    assert result.stderr.endswith("1 tests failed; nothing was pushed\n")


def test_two_at_once_are_told_apart(topic: Topic, tmp_path: Path) -> None:
    topic.rival = encode(Rulebook(1, {"b.yaml": rule("cold")}, "otto", "mine", 1))
    result = run("push", folder(tmp_path, a=rule()), "-m", "x")
    assert result.exit_code == 1
    assert str(result.exception) == (
        "revision 1 is not yours: otto pushed it at the same time; yours was taken back. "
        "Look at `hardiot rules history`, then push again"
    )
    known = rulebooks.read("kafka:1")
    assert known.edition is not None and known.edition.rulebook.author == "otto"
    assert known.keys == {1: {"00000001/rival"}}
    assert run("push", folder(tmp_path, a=rule()), "-m", "x").exit_code == 0
    assert topic.books[-1].revision == 2


def test_old_revisions_are_deleted_with_all_their_records(topic: Topic, tmp_path: Path) -> None:
    for revision in range(1, KEPT + 2):
        topic.has(revision, rule("hot", revision))
    topic.put("00000002/second", b"{}")
    assert run("push", folder(tmp_path, a=rule("hot", 99)), "-m", "x").exit_code == 0
    known = rulebooks.read("kafka:1")
    assert known.shelf.revisions() == list(range(3, KEPT + 3))
    assert not any(known.keys[revision] for revision in (1, 2))


def test_a_bad_record_is_told_and_its_number_passed_over(topic: Topic, tmp_path: Path) -> None:
    topic.has(1, rule("hot"))
    topic.put("00000002/x", b"rubbish")
    result = run("push", folder(tmp_path, a=rule("cold")), "-m", "x")
    assert result.exit_code == 0 and topic.books[-1].revision == 3
    assert result.stdout == "+ cold\n- hot\n"
    assert result.stderr.startswith("cannot be used by anybody: revision 2: not a rulebook")


def test_rollback(topic: Topic) -> None:
    topic.has(1, rule("hot"))
    topic.has(2, rule("hot", 90, 2), rule("cold"))
    result = run("rollback", 1, "--reason", "it shook")
    assert (result.exit_code, result.stdout) == (0, "~ hot version 2 -> 1\n- cold\n")
    assert (topic.books[-1].revision, topic.books[-1].reason) == (3, "it shook")
    assert topic.books[-1].files == topic.books[0].files
    assert "nothing was pushed" in run("rollback", 1, "--reason", "again").stderr


def test_rollback_to_what_is_not_there(topic: Topic) -> None:
    topic.has(1, rule("hot"))
    topic.put("00000002/x", b"rubbish")
    result = run("rollback", 9, "--reason", "x")
    assert result.exit_code == 1
    assert str(result.exception) == "revision 9 is not there; there are: 1, 2"
    assert "revision 2 cannot be used any more:\nnot a rulebook" in str(
        run("rollback", 2, "--reason", "x").exception
    )


def test_list(topic: Topic) -> None:
    topic.has(1, rule("hot"), author="maria")
    assert json.loads(run("list", "-o", "json").stdout) == [
        {
            "rule": "hot", "version": 1, "severity": "warning",
            "sensors": "kind: temperature name: *.bearing",
        }
    ]  # fmt: skip
    assert "revision 1 of 2026-01-02 00:00:00Z by maria: reason 1" in run("list").stdout


def test_list_without_any(topic: Topic) -> None:
    result = run("list", "-o", "json")
    assert (result.exit_code, result.stdout) == (0, "[]\n")
    assert result.stderr.startswith("no rulebook was pushed")


def test_history(topic: Topic) -> None:
    topic.has(1, rule("hot"))
    topic.has(2, rule("hot", 90), rule("cold"))
    topic.put("00000003/x", b"rubbish")
    topic.has(4, rule("cold"), author="otto")
    found = json.loads(run("history", "-o", "json").stdout)
    assert [row["change"] for row in found] == [
        "+0 ~0 -1",
        "bad: not a rulebook: Expecting value: line 1 column 1 (char 0)",
        "+1 ~1 -0",
        "+1 ~0 -0",
    ]
    assert found[0] == {
        "revision": 4, "when": "2026-01-02 00:00:00Z", "who": "otto", "change": "+0 ~0 -1",
        "why": "reason 4",
    }  # fmt: skip
    assert [
        row["revision"] for row in json.loads(run("history", "--last", 2, "-o", "json").stdout)
    ] == [4, 3]
