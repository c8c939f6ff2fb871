"""SQL files: statements, variables, and every mistake with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.common.contracts import ROOT
from jobs.common.errors import JobError
from jobs.common.settings import JobSettings
from jobs.common.sql_script import Script, read_script, statements, variables
from udfs.rules.rulebook import parse

KNOWN = {"kafka": "'properties.bootstrap.servers' = 'kafka:9092'", "facilities": "plant-.*"}
TEXT = """\
-- a comment; with a semicolon and a ${variable}
CREATE TABLE a (x STRING) WITH ('connector' = 'kafka', ${kafka}, 'note' = 'one; -- two');

/* INSERT INTO b
   SELECT 1; */
INSERT INTO a SELECT x FROM `a;b` -- the last word
  WHERE REGEXP(x, '^(${facilities})$$') AND y / 2 - 1 > 0;
"""


def read(tmp_path: Path, text: str, **other: str) -> Script:
    path = tmp_path / "some.sql"
    path.write_text(text)
    return read_script(path, KNOWN | other)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(JobError) as found:
        read(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/") for line in str(found.value).splitlines()]


def test_statements_without_comments_in_the_lines_of_the_file(tmp_path: Path) -> None:
    script = read(tmp_path, TEXT)
    assert script.name == "some"
    assert script.tables == (
        "\nCREATE TABLE a (x STRING) WITH ('connector' = 'kafka', "
        "'properties.bootstrap.servers' = 'kafka:9092', 'note' = 'one; -- two')",
    )
    (insert,) = script.inserts
    assert insert == (
        "\n\n\n\n\nINSERT INTO a SELECT x FROM `a;b`  \n"
        "  WHERE REGEXP(x, '^(plant-.*)$') AND y / 2 - 1 > 0"
    )


def test_a_statement_begins_where_its_first_word_stands() -> None:
    text = "\n\nCREATE x;;\n ; insert y -- z\n;\n/* a\n b */ DROP w"
    assert list(statements(text)) == [(3, "CREATE x"), (4, "insert y"), (7, "DROP w")]


@pytest.mark.parametrize("text", ["", "-- nothing;", ";;\n;", "/* a; */"])
def test_no_statement_at_all(text: str) -> None:
    assert list(statements(text)) == []


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = "CREATE TABLE a (${kafak});\nSET 'x' = 'y';\n\nINSERT INTO a\nSELECT '$1';\nSELECT 2;"
    assert mistakes(tmp_path, text) == [
        'some.sql: line 1: unknown variable ${kafak} (did you mean "kafka"?)',
        "some.sql: line 2: SET is not run here (use CREATE ... and INSERT INTO ...)",
        "some.sql: line 4: a $ that begins no variable (write $$ for a dollar)",
        "some.sql: line 6: SELECT is not run here (use CREATE ... and INSERT INTO ...)",
    ]


def test_a_file_that_writes_nothing(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "CREATE TABLE a (x INT);") == [
        "some.sql: nothing is written (add INSERT INTO ...)"
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"other\.sql: cannot be read: .*No such file"):
        read_script(tmp_path / "other.sql", KNOWN)


def test_the_fingerprint_is_of_what_a_plan_depends_on(tmp_path: Path) -> None:
    first = read(tmp_path, TEXT).fingerprint
    assert read(tmp_path, TEXT, kafka="'a' = 'b'").fingerprint == first
    assert read(tmp_path, TEXT, facilities="plant-7").fingerprint != first
    assert read(tmp_path, "-- more\n\n" + TEXT.replace(", y", ",\n  y")).fingerprint == first
    assert read(tmp_path, TEXT.replace("> 0", "> 1")).fingerprint != first


def test_values_cannot_leave_their_quotes() -> None:
    settings = JobSettings(
        bootstrap="kafka:9093",
        facilities="plant-'1",
        kafka={"sasl.jaas.config": "module required password='a''b';"},
    )
    assert variables(settings) == {
        "kafka": "'properties.bootstrap.servers' = 'kafka:9093', "
        "'properties.sasl.jaas.config' = 'module required password=''a''''b'';'",
        "facilities": "plant-''1",
        "starting_offsets": "earliest",
    }


@pytest.mark.parametrize(
    "path", sorted((ROOT / "jobs" / "sql").glob("*.sql")), ids=lambda p: p.stem
)
def test_our_own_files(path: Path) -> None:
    assert "127.0.0.1" not in path.read_text() and "localhost" not in path.read_text()
    script = read_script(path, variables(JobSettings()))
    assert len(script.tables) == 2 and len(script.inserts) == 1
    assert "'properties.bootstrap.servers' = '127.0.0.1:9092'" in script.tables[0]


def test_the_rule_in_the_docs_has_the_events_of_the_example() -> None:
    text = (ROOT / "docs" / "sql-patterns.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (rule,) = parse(example, "docs/sql-patterns.md")
    sql = (ROOT / "jobs" / "sql" / "overheating.sql").read_text()
    assert set(re.findall(r"\.event = '(\w+)'", sql)) == {"hot", "shaking"} < set(rule.events or ())
    assert f"rule = '{rule.name}'" in sql and rule.pattern is not None
    assert f"INTERVAL '{rule.pattern.within_s / 60:g}' MINUTE" in sql
